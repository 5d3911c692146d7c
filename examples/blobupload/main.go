// Command blobupload loads records at Centrapay from a file in a bucket: on
// S3, Google Cloud Storage, Azure, or a local directory, by the URL of the
// bucket alone. It shows what centrapay.ProviderConfig.Upload is for.
//
//	go run . -bucket s3://my-bucket?region=ap-southeast-2
//
// Without a bucket it uses a directory of its own and the embedded simulator.
// With BATCHWAY_LIVE=1, CENTRAPAY_API_KEY and CENTRAPAY_ACCOUNT_ID it loads test
// data at Centrapay, which must be able to reach the bucket.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	_ "gocloud.dev/blob/s3blob"  // s3://

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("blobupload", flag.ContinueOnError)
	flags.SetOutput(out)
	bucketURL := flags.String("bucket", "",
		"URL of the bucket: s3://..., gs://..., azblob://...; empty for a directory of its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("the argument %q is not known", flags.Arg(0))
	}

	var config centrapay.Config
	provide := centrapay.ProviderConfig{Currency: "NZD"}
	watch := batch.WatchOptions{}
	key, account, live := getenv("CENTRAPAY_API_KEY"), getenv("CENTRAPAY_ACCOUNT_ID"), getenv(sandbox.Live)
	switch {
	case live != "" && key != "" && account != "" && *bucketURL != "":
		config.APIKey, config.BaseURL, provide.AccountID = key, centrapay.Service, account
		// Config.Live is not set.
		if err := sandbox.Check(getenv, config.BaseURL, "service.centrapay.com"); err != nil {
			return err
		}
	case live != "" || key != "" || account != "":
		return errors.New(
			"to load at Centrapay, set BATCHWAY_LIVE=1, CENTRAPAY_API_KEY, CENTRAPAY_ACCOUNT_ID and -bucket; for the simulator, set none of the variables")
	default:
		server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
		defer server.Close()
		config, provide, watch.Interval = server.Config(), server.ProviderConfig(), 20*time.Millisecond
	}

	bucket, closeBucket, err := open(ctx, *bucketURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBucket()) }()
	provide.Upload = upload(bucket)

	client, err := centrapay.New(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	provider, err := centrapay.NewProvider(client, provide)
	if err != nil {
		return err
	}
	report, err := batch.Run(ctx, provider, batch.Draft{
		Reference: "balances-2026-11-21", Direction: batch.Load,
		Items: []batch.Item{
			{Reference: "asset-1", Account: "012345678", Amount: batch.Money{Minor: 1000, Currency: "NZD"}},
			{Reference: "asset-2", Account: "000000404", Amount: batch.Money{Minor: 2550, Currency: "NZD"}},
			{Reference: "asset-3", Account: "012345679", Amount: batch.Money{Minor: 0, Currency: "NZD"}},
		},
	}, &batch.RunOptions{Watch: watch})
	if err != nil {
		return err
	}
	for _, result := range report.Results {
		fmt.Fprintf(out, "%s %s %s %q\n", result.Item.Reference, result.Item.Amount, result.Outcome, result.Code)
	}
	return nil
}

// upload streams a file into the bucket, under a name that nobody can guess,
// and signs a URL with which the service can read it for an hour.
func upload(bucket *blob.Bucket) func(context.Context, string, io.Reader) (string, error) {
	return func(ctx context.Context, name string, file io.Reader) (string, error) {
		key := rand.Text() + "/" + name
		// A writer whose context is cancelled before Close leaves nothing behind.
		writing, cancel := context.WithCancel(ctx)
		defer cancel()
		w, err := bucket.NewWriter(writing, key, &blob.WriterOptions{ContentType: "application/x-ndjson"})
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(w, file); err != nil {
			cancel()
			return "", errors.Join(err, w.Close())
		}
		if err := w.Close(); err != nil {
			return "", err
		}
		return bucket.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: time.Hour})
	}
}

// open opens the bucket, or one in a temporary directory, whose signed URLs are
// served on a loopback socket.
func open(ctx context.Context, bucketURL string) (*blob.Bucket, func() error, error) {
	if bucketURL != "" {
		bucket, err := blob.OpenBucket(ctx, bucketURL)
		if err != nil {
			return nil, nil, err
		}
		return bucket, bucket.Close, nil
	}
	dir, err := os.MkdirTemp("", "blobupload-*")
	if err != nil {
		return nil, nil, err
	}
	host := httptest.NewUnstartedServer(nil)
	base := &url.URL{Scheme: "http", Host: host.Listener.Addr().String(), Path: "/"}
	signer := fileblob.NewURLSignerHMAC(base, []byte(rand.Text()))
	host.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, err := signer.KeyFromURL(r.Context(), r.URL)
		if err != nil || r.Method != http.MethodGet {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		http.ServeFileFS(w, r, os.DirFS(dir), key) //nolint:gosec // The key is signed, and DirFS leads nowhere else.
	})
	host.Start()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{URLSigner: signer, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		host.Close()
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return bucket, func() error {
		host.Close()
		return errors.Join(bucket.Close(), os.RemoveAll(dir))
	}, nil
}
