package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lib/pq"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchcsv"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// simulator is the base URL of a simulator inside this program, which forgets
// everything when the program ends.
const simulator = "simulator"

// configuration is what the file says. It holds no credential.
type configuration struct {
	Provider string `json:"provider"` // citypay, centrapay, sixdotfifty or snapbill
	BaseURL  string `json:"base_url"` // of the service; empty means its sandbox, if there is one
	Journal  string `json:"journal"`  // a file, or "postgres" for the database that PAYRUN_POSTGRES names
	// the first wait between two polls, such as "30s"; empty means what is polite to the service
	Interval string `json:"interval"`

	CSV struct {
		// the character before the decimals of an amount, and allows groups: see batchcsv.Options
		Decimal  string            `json:"decimal"`
		Currency string            `json:"currency"` // of rows without one
		Rename   map[string]string `json:"rename"`   // the names of your columns
		Ignore   bool              `json:"ignore"`   // other columns are left out
	} `json:"csv"`

	CityPay struct {
		MerchantID    int64  `json:"merchant_id"`
		Currency      string `json:"currency"`
		CheckAccounts bool   `json:"check_accounts"`
	} `json:"citypay"`
	Centrapay struct {
		AccountID string `json:"account_id"`
		Currency  string `json:"currency"`
		FileURL   string `json:"file_url"` // where the file of the records already is; or
		// a port of this machine that keeps a file that is PUT below it, and answers with its URL
		UploadTo string `json:"upload_to"`
	} `json:"centrapay"`
	SixDotFifty struct {
		Currency string `json:"currency"`
	} `json:"sixdotfifty"`
	SnapBill struct {
		PaymentMethod string `json:"payment_method"`
		Account       string `json:"account"`
	} `json:"snapbill"`
}

// account is what a command works with.
type account struct {
	config   configuration
	provider batch.Provider
	journal  batch.Journal
	watch    batch.WatchOptions
	prepared func([]batch.Item) // makes a simulator ready for the items
	closers  []func() error
}

// ready makes a simulator ready for a draft.
func (a *account) ready(d *batch.Draft) {
	if a.prepared != nil {
		a.prepared(d.Items)
		d.Date = simulatedDay
	}
}

func (a *account) close() error {
	var errs []error
	for n := len(a.closers) - 1; n >= 0; n-- {
		errs = append(errs, a.closers[n]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *account) closes(f func()) { a.closers = append(a.closers, func() error { f(); return nil }) }

// read reads the configuration. What it does not know is a mistake.
func (p *program) read() error {
	text, err := os.ReadFile(p.Config)
	if err != nil {
		return mistake("the configuration: %w: payrun --help says what it holds", err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // As Notepad writes.
	if len(bytes.TrimSpace(text)) == 0 {
		return mistake("the configuration %s is empty: payrun --help says what it holds", p.Config)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p.config); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return mistake("the configuration %s: %s is a JSON %s and must be a %s", p.Config, wrong.Field, wrong.Value,
				kinds[wrong.Type.Kind()])
		}
		return mistake("the configuration %s: %w", p.Config, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return mistake("the configuration %s: more follows its end", p.Config)
	}
	return nil
}

// kinds are JSON's names of what a key can be.
var kinds = map[reflect.Kind]string{reflect.String: "string", reflect.Int64: "whole number",
	reflect.Bool: "true or false", reflect.Struct: "{...}", reflect.Map: "{...}"}

// open opens the provider and the journal. Without a journal the provider is the
// simulator, which checks as the service does: nothing can be sent.
func (p *program) open(ctx context.Context, journal access) error {
	if err := p.read(); err != nil {
		return err
	}
	if journal == without {
		p.config.BaseURL = simulator
	}
	open, known := map[string]func() error{
		"citypay": p.openCityPay, "centrapay": p.openCentrapay, "sixdotfifty": p.openSixDotFifty,
		"snapbill": p.openSnapBill,
	}[p.config.Provider]
	if !known {
		return mistake("the configuration %s: provider is %q: it must be citypay, centrapay, sixdotfifty or snapbill",
			p.Config, p.config.Provider)
	}
	if err := open(); err != nil {
		return usageError{err}
	}
	if p.config.Interval != "" {
		interval, err := time.ParseDuration(p.config.Interval)
		if err != nil || interval <= 0 {
			return mistake("the configuration %s: interval is %q: a time such as \"30s\" would be right", p.Config,
				p.config.Interval)
		}
		p.watch.Interval = interval
	} else if p.config.BaseURL == simulator {
		p.watch = batch.WatchOptions{Interval: 100 * time.Millisecond, MaxInterval: time.Second}
	}
	if journal == without {
		return nil
	}
	switch p.config.Journal {
	case "":
		return mistake("the configuration %s: journal is missing: the name of a file, or \"postgres\"", p.Config)
	case "postgres":
		return p.openPostgres(ctx)
	}
	openFile := boltjournal.Open
	if journal == looks {
		openFile = boltjournal.Look
	}
	j, err := openFile(p.config.Journal, p.provider.Info())
	if err != nil {
		return err
	}
	p.journal = j
	p.closers = append(p.closers, j.Close)
	return nil
}

func (p *program) openPostgres(ctx context.Context) error {
	source := p.getenv("PAYRUN_POSTGRES")
	if source == "" {
		return mistake("PAYRUN_POSTGRES is not set: it holds the connection string of the journal")
	}
	connector, err := pq.NewConnector(source)
	if err != nil {
		return mistake("PAYRUN_POSTGRES is not a valid connection string") // The error may repeat its password.
	}
	db := sql.OpenDB(connector)
	p.closers = append(p.closers, db.Close)
	if err := sqljournal.Migrate(ctx, db); err != nil {
		return err
	}
	j, err := sqljournal.Open(ctx, db, p.provider.Info())
	if err != nil {
		return err
	}
	p.journal = j
	return nil
}

// named is the account's name in the journal: a simulator has another port each
// time.
func (p *program) named() string {
	if p.config.BaseURL == simulator {
		return simulator
	}
	return ""
}

func (p *program) openCityPay() error {
	config := citypay.Config{ClientID: p.getenv("CITYPAY_CLIENT_ID"), LicenceKey: p.getenv("CITYPAY_LICENCE_KEY"),
		BaseURL: p.config.BaseURL}
	if config.BaseURL == "" {
		config.BaseURL = citypay.Sandbox
	}
	if config.BaseURL != simulator {
		if err := sandbox.Check(p.getenv, config.BaseURL, "sandbox.citypay.com"); err != nil {
			return err
		}
	} else {
		server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
		p.closes(server.Close)
		config = server.Config()
	}
	client, err := citypay.New(config)
	if err != nil {
		return err
	}
	p.closes(client.CloseIdleConnections)
	c := p.config.CityPay
	provider, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: c.MerchantID, Currency: c.Currency,
		CheckAccounts: c.CheckAccounts, Account: p.named()})
	p.provider = provider
	return err
}

// Centrapay has one host for tests and live data: what payrun loads is a test,
// because Config.Live is not set.
func (p *program) openCentrapay() error {
	c := p.config.Centrapay
	config := centrapay.Config{APIKey: p.getenv("CENTRAPAY_API_KEY"), BaseURL: p.config.BaseURL}
	upload := func(_ context.Context, _ string, file io.Reader) (string, error) {
		_, err := io.Copy(io.Discard, file) // It is already there.
		return c.FileURL, err
	}
	if config.BaseURL == "" {
		config.BaseURL = centrapay.Service
	}
	if config.BaseURL != simulator {
		if err := sandbox.Check(p.getenv, config.BaseURL, "service.centrapay.com"); err != nil {
			return err
		}
		switch {
		case c.UploadTo != "":
			if err := sandbox.Check(p.getenv, c.UploadTo); err != nil {
				return fmt.Errorf("centrapay.upload_to: %w", err)
			}
			upload = func(ctx context.Context, name string, file io.Reader) (string, error) {
				return put(ctx, c.UploadTo+"/"+name, file)
			}
		case c.FileURL == "":
			return errors.New("centrapay.file_url is missing: where the file of the records is; or centrapay.upload_to")
		}
	} else {
		server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
		p.closes(server.Close)
		config, upload = server.Config(), server.Upload
	}
	client, err := centrapay.New(config)
	if err != nil {
		return err
	}
	p.closes(client.CloseIdleConnections)
	provider, err := centrapay.NewProvider(client, centrapay.ProviderConfig{AccountID: c.AccountID,
		Currency: c.Currency, Upload: upload, Account: p.named()})
	p.provider = provider
	return err
}

// put keeps a file at a URL, and returns the one at which it can be fetched.
func put(ctx context.Context, to string, file io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, to, file)
	if err != nil {
		return "", err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = reply.Body.Close() }()
	const longest = 4096
	answer, err := io.ReadAll(io.LimitReader(reply.Body, longest))
	if err == nil && reply.StatusCode/100 != 2 {
		err = fmt.Errorf("centrapay.upload_to answers %s", reply.Status)
	}
	return strings.TrimSpace(string(answer)), err
}

func (p *program) openSixDotFifty() error {
	config := sixdotfifty.Config{Key: p.getenv("SIXDOTFIFTY_KEY"), Secret: p.getenv("SIXDOTFIFTY_SECRET"),
		BaseURL: p.config.BaseURL}
	if config.BaseURL != simulator {
		if err := sandbox.Check(p.getenv, config.BaseURL, "staging.6dot50.com"); err != nil {
			return err
		}
	} else {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{Autoplay: 1})
		p.closes(server.Close)
		config = server.Config()
	}
	client, err := sixdotfifty.New(config)
	if err != nil {
		return err
	}
	p.closes(client.CloseIdleConnections)
	provider, err := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{Currency: p.config.SixDotFifty.Currency,
		Account: p.named()})
	p.provider = provider
	return err
}

// SnapBill has no sandbox: this reaches a simulator or this machine.
func (p *program) openSnapBill() error {
	config := snapbill.Config{Username: p.getenv("SNAPBILL_USERNAME"), Password: p.getenv("SNAPBILL_PASSWORD"),
		BaseURL: p.config.BaseURL}
	c := p.config.SnapBill
	if config.BaseURL != simulator {
		if err := sandbox.Check(p.getenv, config.BaseURL); err != nil {
			return err
		}
	} else {
		server := snapbilltest.New(&snapbilltest.Options{Autoplay: 1})
		p.closes(server.Close)
		config, c.Account = server.Config(), "10608" // The simulated login's.
		p.prepared = func(items []batch.Item) {
			for _, item := range items {
				server.Bill(item.Account, snapbill.DateOf(simulatedDay), item.Amount.Minor)
			}
		}
	}
	client, err := snapbill.New(config)
	if err != nil {
		return err
	}
	p.closes(client.CloseIdleConnections)
	provider, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: c.PaymentMethod,
		Account: c.Account})
	p.provider = provider
	return err
}

// simulatedDay is when the invoices of the simulated SnapBill are due: a day
// that does not pass, because a batch of a day that has passed is refused.
var simulatedDay = time.Date(2099, 12, 1, 0, 0, 0, 0, time.UTC)

// options says how to read the user's files.
func (c configuration) options() (*batchcsv.Options, error) {
	o := &batchcsv.Options{Currency: c.CSV.Currency, Rename: c.CSV.Rename, Ignore: c.CSV.Ignore,
		Exponents: map[string]int{"DZAR": 2}}
	if c.CSV.Decimal != "" {
		decimal, size := utf8.DecodeRuneInString(c.CSV.Decimal)
		if size != len(c.CSV.Decimal) || decimal != '.' && decimal != ',' {
			return nil, mistake("csv.decimal is %q: it must be a point or a comma", c.CSV.Decimal)
		}
		o.Decimal = decimal
	}
	return o, nil
}
