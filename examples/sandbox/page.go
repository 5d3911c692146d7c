package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A sandbox is the services and the page.
type sandbox struct {
	url      string
	services []*service
	store    *store
	restored chan struct{} // closed once the state is restored: until then only files are served

	mu    sync.Mutex
	files map[string][]byte
}

func newSandbox() *sandbox {
	store := &store{failed: make(chan error, 1)}
	return &sandbox{
		services: newServices(store), store: store, restored: make(chan struct{}), files: make(map[string][]byte),
	}
}

// renew starts all services anew.
func (s *sandbox) renew() {
	for _, service := range s.services {
		service.mu.Lock()
		service.renew()
		service.mu.Unlock()
	}
}

// service is the one of this name, or nil.
func (s *sandbox) service(name string) *service {
	for _, service := range s.services {
		if service.name == name {
			return service
		}
	}
	return nil
}

func (s *sandbox) close() {
	for _, service := range s.services {
		sim, _ := service.now()
		sim.Close()
	}
	s.store.close()
}

// handler serves the page and the API to this machine only: a page of another
// site that is open in the browser can neither read nor change anything.
func (s *sandbox) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.state())
	})
	mux.HandleFunc("POST /api/{service}/{what}", s.change)
	mux.HandleFunc("PUT /files/{name}", s.keep)
	mux.HandleFunc("GET /files/{name}", s.serve)
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "the sandbox is for this machine: call it 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/files/") {
			<-s.restored
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"+
			scriptHash+"'; connect-src 'self'; form-action 'self'")
		guarded.ServeHTTP(w, r)
	})
}

// A serviceState is what the page shows of a service.
type serviceState struct {
	Name       string           `json:"name"`
	Title      string           `json:"-"`
	Unit       string           `json:"unit"` // of amounts
	URL        string           `json:"url"`
	Now        time.Time        `json:"now"` // of the simulated service
	Batches    []batchsim.Batch `json:"batches"`
	Ledger     []effect         `json:"ledger"`   // what has really moved
	Requests   []request        `json:"requests"` // the last, newest first
	Waiting    []string         `json:"waiting"`  // what goes wrong next
	Operations []string         `json:"operations"`
	Options    []option         `json:"options"`
	Faults     []string         `json:"-"`
}

type effect struct {
	Item, Batch, Account string
	Minor                int64
	At                   time.Time
}

type request struct {
	Op, Method, Path string
	At               time.Time
}

// shown is how many requests the page shows.
const shown = 25

func (s *sandbox) state() []serviceState {
	var all []serviceState
	for _, service := range s.services {
		sim, kit := service.now()
		state := serviceState{
			Name: service.name, Title: service.title, Unit: service.unit, URL: service.url, Now: kit.Clock.Now(),
			Batches: sim.Batches(), Operations: slices.Compact(sim.Operations()), // Some have two routes.
		}
		service.mu.Lock()
		state.Options = service.optionsOf()
		service.mu.Unlock()
		for _, e := range kit.Ledger.Effects() {
			state.Ledger = append(state.Ledger, effect{e.Item, e.Batch, e.Account, e.Minor, e.At})
		}
		for _, e := range kit.Log.Requests("") {
			state.Requests = append(state.Requests, request{e.Op, e.Method, e.Path, e.At})
		}
		for _, f := range kit.Waiting() {
			state.Waiting = append(state.Waiting, f.Op+": "+string(f.Scenario))
		}
		slices.Reverse(state.Requests)
		state.Requests = state.Requests[:min(len(state.Requests), shown)]
		for _, fault := range faults {
			state.Faults = append(state.Faults, string(fault))
		}
		all = append(all, state)
	}
	return all
}

func (s *sandbox) page(w http.ResponseWriter, _ *http.Request) {
	render(w, "page", struct {
		Kept     string // the file of -state
		Services []serviceState
	}{s.store.path, s.state()})
}

func (s *sandbox) live(w http.ResponseWriter, _ *http.Request) { render(w, "live", s.state()) }

func render(w http.ResponseWriter, name string, data any) {
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = text.WriteTo(w)
}

// change does what a button or a call of the API asks for.
func (s *sandbox) change(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	service := s.service(r.PathValue("service"))
	if service == nil {
		http.Error(w, "this service is not simulated", http.StatusNotFound)
		return
	}
	err := service.click(click{What: r.PathValue("what"), Form: r.PostForm})
	if errors.Is(err, errUnknownClick) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, "/#"+service.name, http.StatusSeeOther)
}

var errUnknownClick = errors.New("the page has no such button")

// click does what a button says, and keeps it. Now is zero for one that is new.
func (s *service) click(c click) error {
	s.order.Lock()
	defer s.order.Unlock()
	sim, kit := s.now()
	now, release := kit.Clock.Hold(c.Now)
	defer release()
	c.Now = now
	kept := true // Not faults: those that have not struck are forgotten.
	var err error
	switch c.What {
	case "advance":
		var by time.Duration
		if by, err = time.ParseDuration(c.Form.Get("by")); err == nil && by < 0 {
			err = fmt.Errorf("by is %s: time does not go back", by)
		}
		if err == nil {
			kit.Clock.Advance(by)
		}
	case "finish":
		sim.FinishAll()
	case "fault":
		kept, err = false, s.fault(c.Form.Get("op"), c.Form.Get("fault"))
	case "heal":
		kept = false
		sim.Heal()
	case "options":
		err = s.set(c.Form, c.Form.Has("whole"))
	case "bill":
		err = s.billed(c.Form)
	default:
		err = errUnknownClick
	}
	if err == nil && kept {
		s.store.keep(record{Service: s.name, Click: &c})
	}
	return err
}

// billed gives a client of SnapBill an invoice that is due.
func (s *service) billed(form url.Values) error {
	s.mu.Lock()
	bill := s.bill
	s.mu.Unlock()
	if bill == nil {
		return fmt.Errorf("%s has no invoices: only SnapBill has", s.title)
	}
	due, err := time.Parse(time.DateOnly, form.Get("due"))
	if err != nil {
		return fmt.Errorf("due: %w", err)
	}
	cents, err := strconv.ParseInt(form.Get("cents"), 10, 64)
	if err != nil || cents <= 0 || form.Get("client") == "" {
		return errors.New("client and cents are needed, such as client=001 and cents=5000")
	}
	bill(form.Get("client"), due, cents)
	return nil
}

// keep keeps a file for Centrapay to fetch.
func (s *sandbox) keep(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 100
	if name := r.PathValue("name"); len(s.files) >= most && s.files[name] == nil {
		http.Error(w, fmt.Sprintf("there are %d files already: %q", most, slices.Sorted(maps.Keys(s.files))),
			http.StatusInsufficientStorage)
		return
	}
	s.files[r.PathValue("name")] = append([]byte{}, text...)
	s.store.keep(record{File: &file{r.PathValue("name"), text}})
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintln(w, s.url+"/files/"+url.PathEscape(r.PathValue("name")))
}

func (s *sandbox) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	text, known := s.files[r.PathValue("name")]
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(text)
}

// script shows what is new, every second.
const script = `setInterval(async () => { document.getElementById("live").innerHTML = await (await fetch("/live")).text() }, 1000)`

// scriptHash lets the page run this script and no other.
var scriptHash = func() string {
	sum := sha256.Sum256([]byte(script))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

var pages = template.Must(template.New("").Funcs(template.FuncMap{"script": func() template.HTML {
	return "<script>" + script + "</script>"
}}).Parse(`
{{define "live"}}{{range .}}
<section id="live-{{.Name}}"><h2>{{.Title}} <small>{{.URL}} · its time is {{.Now.UTC.Format "2006-01-02 15:04:05"}} UTC · amounts in {{.Unit}}</small></h2>
{{range .Waiting}}<p class="waits">This goes wrong next: {{.}}</p>{{end}}
<div class="columns">
<div><h3>Batches</h3>{{range .Batches}}<details open><summary><b>{{.ID}}</b> {{.Reference}} <i>{{.State}}</i> · {{len .Items}} items</summary>
<table>{{range .Items}}<tr><td>{{.Reference}}</td><td>{{.Account}}</td><td class="n">{{.Minor}}</td><td>{{.State}}</td></tr>{{end}}</table></details>{{else}}<p>none so far</p>{{end}}</div>
<div><h3>What has really moved</h3><table>{{range .Ledger}}<tr><td>{{.Item}}</td><td>{{.Account}}</td><td class="n">{{.Minor}}</td><td>{{.At.UTC.Format "15:04:05"}}</td></tr>{{else}}<tr><td>nothing so far</td></tr>{{end}}</table></div>
<div><h3>Requests</h3><table>{{range .Requests}}<tr><td>{{.At.UTC.Format "15:04:05"}}</td><td>{{.Op}}</td><td>{{.Method}} {{.Path}}</td></tr>{{else}}<tr><td>none so far</td></tr>{{end}}</table></div>
</div></section>{{end}}{{end}}

{{define "page"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Batchway sandbox</title>
<style>
body { font: 14px/1.45 sans-serif; margin: 1.5em; color: #222 }
h2 { border-top: 2px solid #333; padding-top: .4em } small { font-weight: normal; color: #666; font-size: 13px }
.columns { display: flex; gap: 2em; flex-wrap: wrap } .columns > div { flex: 1 1 20em; max-height: 26em; overflow: auto }
table { border-collapse: collapse } td { padding: .1em .8em .1em 0; border-bottom: 1px solid #eee } td.n { text-align: right; font-variant-numeric: tabular-nums }
p.waits { color: #a40000; margin: .2em 0 }
form { display: inline-block; margin: .2em 1.2em .2em 0 } fieldset { border: 1px solid #ccc } label { margin-right: 1em; white-space: nowrap }
</style></head><body>
<h1>Batchway sandbox</h1>
<p>Four simulated services. No money moves. {{with .Kept}}What the services have is kept in {{.}}.{{else}}Everything is forgotten when the program ends.{{end}}</p>
{{range .Services}}<fieldset id="{{.Name}}"><legend>{{.Title}}</legend>
<form method="post" action="/api/{{.Name}}/advance"><button name="by" value="1h">an hour passes</button> <button name="by" value="24h">a day passes</button></form>
<form method="post" action="/api/{{.Name}}/finish"><button>all that is submitted finishes</button></form>
<form method="post" action="/api/{{.Name}}/fault"><select name="op"><option value="">the next call that can move money</option>{{range .Operations}}<option>{{.}}</option>{{end}}</select>
<select name="fault">{{range .Faults}}<option>{{.}}</option>{{end}}</select> <button>goes wrong</button></form>
<form method="post" action="/api/{{.Name}}/heal"><button>nothing goes wrong</button></form>
{{if eq .Name "snapbill"}}<form method="post" action="/api/snapbill/bill"><input name="client" value="005" size="5"> <input name="due" value="2026-12-01" size="10"> <input name="cents" value="5000" size="7"> <button>is billed</button></form>{{end}}
<details><summary>what its documentation leaves open, and how it is set up</summary><form method="post" action="/api/{{.Name}}/options"><input type="hidden" name="whole" value="yes">
{{range .Options}}<label>{{if eq .Kind "bool"}}<input type="checkbox" name="{{.Name}}" value="true"{{if eq .Value "true"}} checked{{end}}> {{.Name}}{{else}}{{.Name}} <input name="{{.Name}}" value="{{.Value}}" size="12">{{end}}</label> {{end}}
<button>start it anew with these</button></form></details></fieldset>{{end}}
<main id="live">{{template "live" .Services}}</main>
{{script}}</body></html>{{end}}
`))
