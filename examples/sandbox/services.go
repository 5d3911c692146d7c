package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A simulator is one of the four, as far as the page needs it.
type simulator interface {
	http.Handler
	Batches() []batchsim.Batch
	Operations() []string
	FinishAll()
	Break(batchsim.Scenario)
	Heal()
	Close()
}

// A service is a simulator that can be started anew.
type service struct {
	name, title, unit string
	url, page         string // its own, and that of the page
	start             func(options any) (simulator, *batchsim.Kit)
	environment       func() []string
	payrun            func() string
	bill              func(number string, due time.Time, cents int64) // SnapBill's only

	store *store
	order sync.Mutex // held while something changes the simulator

	mu      sync.Mutex
	options reflect.Value // of the simulator's Options; settable
	started int           // how often
	sim     simulator
	kit     *batchsim.Kit
}

// ServeHTTP passes a request to the simulator of the moment.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sim, _ := s.now()
	sim.ServeHTTP(w, r)
}

func (s *service) now() (simulator, *batchsim.Kit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sim, s.kit
}

// renew starts the simulator with the options that s has.
func (s *service) renew() {
	if s.sim != nil {
		s.sim.Close()
	}
	sim, kit := s.start(s.options.Interface())
	kit.Random = s.store.random(s.name, s.started)
	kit.Around = func(apply func() batchsim.Applied) {
		s.order.Lock()
		defer s.order.Unlock()
		applied := apply()
		if _, current := s.now(); current == kit {
			s.store.keep(record{Service: s.name, Request: &applied})
		}
	}
	s.sim, s.kit = sim, kit
	s.started++
}

func newServices(store *store) []*service {
	var cityServer *citypaytest.Server
	city := &service{
		name: "citypay", title: "CityPay", unit: "pence",
		// Keys live for so long that a client, for which the time of the page does
		// not pass, stays welcome after a click that lets a month pass.
		options: options(citypaytest.Options{Autoplay: 1, KeyLifetime: 32 * 24 * time.Hour}),
		start: func(o any) (simulator, *batchsim.Kit) {
			options, _ := o.(citypaytest.Options)
			cityServer = citypaytest.New(&options)
			return cityServer, &cityServer.Kit
		},
	}
	city.environment = func() []string {
		config := cityServer.Config()
		return []string{"CITYPAY_BASE_URL=" + city.url, "CITYPAY_CLIENT_ID=" + config.ClientID, "CITYPAY_LICENCE_KEY=" +
			config.LicenceKey, "CITYPAY_MERCHANT_ID=11223344"}
	}
	city.payrun = func() string {
		return fmt.Sprintf(
			`{"provider": "citypay", "base_url": %q, "interval": "1s", "journal": "citypay.journal", "citypay": {"merchant_id": 11223344, "currency": "GBP"}}`, city.url)
	}

	var centraServer *centrapaytest.Server
	centra := &service{
		name: "centrapay", title: "Centrapay", unit: "cents", options: options(centrapaytest.Options{Autoplay: 1}),
		start: func(o any) (simulator, *batchsim.Kit) {
			options, _ := o.(centrapaytest.Options)
			centraServer = centrapaytest.New(&options)
			return centraServer, &centraServer.Kit
		},
	}
	centra.environment = func() []string {
		return []string{"CENTRAPAY_API_KEY=" + centraServer.Config().APIKey, "CENTRAPAY_ACCOUNT_ID=" +
			centraServer.ProviderConfig().AccountID}
	}
	centra.payrun = func() string {
		return fmt.Sprintf(
			`{"provider": "centrapay", "base_url": %q, "interval": "1s", "journal": "centrapay.journal", "centrapay": {"account_id": %q, "currency": "NZD", "upload_to": "%s/files"}}`,
			centra.url, centraServer.ProviderConfig().AccountID, centra.page)
	}

	var sixServer *sixdotfiftytest.Server
	six := &service{
		name: "sixdotfifty", title: "6DOT50", unit: "hundredths",
		options: options(sixdotfiftytest.Options{Autoplay: 1, NonMembers: []string{"27821231235"}}),
		start: func(o any) (simulator, *batchsim.Kit) {
			options, _ := o.(sixdotfiftytest.Options)
			sixServer = sixdotfiftytest.New(&options)
			return sixServer, &sixServer.Kit
		},
	}
	six.environment = func() []string {
		config := sixServer.Config()
		base, _ := url.Parse(config.BaseURL)
		return []string{"SIXDOTFIFTY_BASE_URL=" + six.url + base.Path, "SIXDOTFIFTY_KEY=" + config.Key,
			"SIXDOTFIFTY_SECRET=" + config.Secret}
	}
	six.payrun = func() string {
		return fmt.Sprintf(
			`{"provider": "sixdotfifty", "base_url": %q, "interval": "1s", "journal": "sixdotfifty.journal"}`,
			strings.TrimPrefix(six.environment()[0], "SIXDOTFIFTY_BASE_URL="))
	}

	var snapServer *snapbilltest.Server
	snap := &service{
		name: "snapbill", title: "SnapBill", unit: "cents",
		options: options(snapbilltest.Options{Autoplay: 1, Bounces: []string{"003"}}),
	}
	snap.start = func(o any) (simulator, *batchsim.Kit) {
		options, _ := o.(snapbilltest.Options)
		snapServer = snapbilltest.New(&options)
		snap.bill = func(number string, due time.Time, cents int64) {
			snapServer.Bill(number, snapbill.DateOf(due), cents)
		}
		for n, cents := range []int64{5000, 12050, 9900, 7525} {
			snap.bill(fmt.Sprintf("%03d", n+1), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), cents)
		}
		return snapServer, &snapServer.Kit
	}
	snap.environment = func() []string {
		config := snapServer.Config()
		return []string{"SNAPBILL_USERNAME=" + config.Username, "SNAPBILL_PASSWORD=" + config.Password}
	}
	snap.payrun = func() string {
		return fmt.Sprintf(
			`{"provider": "snapbill", "base_url": %q, "interval": "1s", "journal": "snapbill.journal", "snapbill": {"payment_method": "netcash", "account": "10608"}}`, snap.url+"/v1")
	}

	all := []*service{city, centra, six, snap}
	for _, s := range all {
		s.store = store
		s.renew()
	}
	return all
}

// options makes a copy that can be changed field by field.
func options(o any) reflect.Value {
	v := reflect.New(reflect.TypeOf(o)).Elem()
	v.Set(reflect.ValueOf(o))
	return v
}

// An option is one field of a simulator's options.
type option struct {
	Name, Kind, Value string
}

// hidden are options that would take the service away from its port.
var hidden = []string{"InMemory"}

// optionsOf lists the options that the page can change: true or false, numbers,
// texts, and lists of texts.
func (s *service) optionsOf() []option {
	var all []option
	for n := range s.options.NumField() {
		field, value := s.options.Type().Field(n), s.options.Field(n)
		o := option{Name: field.Name}
		switch {
		case slices.Contains(hidden, field.Name):
			continue
		case value.Kind() == reflect.Bool:
			o.Kind, o.Value = "bool", strconv.FormatBool(value.Bool())
		case value.Type() == reflect.TypeFor[time.Duration]():
			o.Kind, o.Value = "duration", time.Duration(value.Int()).String()
		case value.CanInt():
			o.Kind, o.Value = "number", strconv.FormatInt(value.Int(), 10)
		case value.Kind() == reflect.String:
			o.Kind, o.Value = "text", value.String()
		case value.Type() == reflect.TypeFor[[]string]():
			o.Kind, o.Value = "list", strings.Join(value.Interface().([]string), ",") //nolint:forcetypeassert // Its type is asked.
		default:
			continue
		}
		all = append(all, o)
	}
	return all
}

// set changes the options that are in the form, and starts the service anew. A
// checkbox that is off is not in a form: whole says that the form has them all.
func (s *service) set(form url.Values, whole bool) error {
	changed := options(s.options.Interface())
	for name := range form {
		if name != "whole" && !slices.ContainsFunc(s.optionsOf(), func(o option) bool { return o.Name == name }) {
			return fmt.Errorf("%s has no option %q", s.title, name)
		}
	}
	for _, o := range s.optionsOf() {
		if !form.Has(o.Name) && (!whole || o.Kind != "bool") {
			continue
		}
		field, text := changed.FieldByName(o.Name), form.Get(o.Name)
		var err error
		switch o.Kind {
		case "bool":
			field.SetBool(text == "true" || text == "on")
		case "duration":
			var d time.Duration
			d, err = time.ParseDuration(text)
			field.SetInt(int64(d))
		case "number":
			var n int64
			if n, err = strconv.ParseInt(text, 10, 64); err == nil && (n < 0 || field.OverflowInt(n)) {
				err = errors.New("it is out of range")
			}
			field.SetInt(n)
		case "text":
			field.SetString(text)
		case "list":
			var list []string
			for _, one := range strings.Split(text, ",") {
				if one = strings.TrimSpace(one); one != "" {
					list = append(list, one)
				}
			}
			field.Set(reflect.ValueOf(list))
		}
		if err != nil {
			return fmt.Errorf("%s: %q: %w", o.Name, text, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options = changed
	s.renew()
	return nil
}

// faults are what can go wrong with one call.
var faults = []batchsim.Scenario{batchsim.LostBefore, batchsim.LostAfter, batchsim.SilentBefore, batchsim.SilentAfter,
	batchsim.ErrorBefore, batchsim.ErrorAfter,
	batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.ForbiddenAfter, batchsim.LateAfter,
	batchsim.Refused, batchsim.Unauthorized, batchsim.Redirected, batchsim.Unavailable}

// fault arranges that the next call of op meets a fault; without op, the next
// call that can move money.
func (s *service) fault(op, name string) error {
	sim, kit := s.now()
	scenario := batchsim.Scenario(name)
	switch {
	case !slices.Contains(faults, scenario):
		return fmt.Errorf("%q is not a fault: choose one of %q", name, faults)
	case op == "":
		sim.Break(scenario)
	case !slices.Contains(sim.Operations(), op):
		return fmt.Errorf("%s has no operation %q", s.title, op)
	case scenario == batchsim.Refused || scenario == batchsim.Unauthorized:
		return fmt.Errorf("the fault %q is only for the next call that can move money: leave op empty", name)
	default:
		kit.Break(op, scenario, batchsim.Reply{}, batchsim.Reply{})
	}
	return nil
}
