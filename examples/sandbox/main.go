// Sandbox runs the four simulated services on fixed ports of this machine, for
// any client in any language, and a page that shows what they have.
//
//	go run ./examples/sandbox
//
// The page is at http://127.0.0.1:7300. It shows every batch, what has really
// moved and the requests, lets time pass, makes the next call go wrong, and
// changes what a service's documentation leaves open. The same is an HTTP API,
// which -help lists.
//
// Everything is forgotten when the program ends, or is kept in a file:
//
//	go run ./examples/sandbox -state sandbox.state
//
// The next start with the same file and port goes on with the same batches,
// ledger, options and time, also after a kill. Faults that have not struck are
// forgotten. The file has every request since the first start, with its
// credentials: delete it to begin anew. A file that Centrapay has fetched from
// elsewhere must still be there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// api is what --help says.
const api = `
GET  /api/state                                      everything, as JSON
POST /api/{service}/advance   by=24h                 lets time pass
POST /api/{service}/finish                           everything submitted finishes now
POST /api/{service}/fault     fault=lost+after&op=   the next call of op, or the next that can move money, meets it
POST /api/{service}/heal                             forgets the faults that have not struck
POST /api/{service}/options   Duplicate=1&...        starts the service anew with other options
POST /api/snapbill/bill       client=001&due=2026-12-01&cents=5000
PUT  /files/{name}                                   keeps a file for Centrapay, and answers with its URL
`

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() {
		fmt.Fprintln(stdout, "The page is also an HTTP API:\n"+api+"\nFlags:")
		flags.PrintDefaults()
	}
	port := flags.Int("port", 7300, "the port of the page; the services have the next four; 0 means any")
	state := flags.String("state", "", "a file that keeps what the services have; without it everything is forgotten")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("the argument %q is not known", flags.Arg(0))
	}
	s := newSandbox()
	defer s.close()
	var servers []*http.Server
	defer func() {
		for _, server := range servers {
			_ = server.Close()
		}
	}()
	failed := make(chan error, len(s.services)+1)
	serve := func(n int, h http.Handler) (url string, err error) {
		address := "127.0.0.1:0"
		if *port != 0 {
			address = fmt.Sprint("127.0.0.1:", *port+n)
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return "", fmt.Errorf("%w: choose another -port", err)
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, server)
		go func() { failed <- server.Serve(listener) }()
		return "http://" + listener.Addr().String(), nil
	}
	var err error
	if s.url, err = serve(0, s.handler()); err != nil {
		return err
	}
	if *state != "" {
		if err := s.restore(*state); err != nil {
			return err
		}
	}
	close(s.restored)
	for n, service := range s.services {
		service.page = s.url
		if service.url, err = serve(n+1, service); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "The page is at %s\n\nFor the examples and for payrun:\n\nexport BATCHWAY_LIVE=1\n", s.url)
	for _, service := range s.services {
		for _, line := range service.environment() {
			fmt.Fprintln(stdout, "export "+line)
		}
	}
	fmt.Fprintln(stdout, "\nFor payrun.json, one of:")
	for _, service := range s.services {
		fmt.Fprintln(stdout, service.payrun())
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.store.failed:
		return err
	case err := <-failed:
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}
