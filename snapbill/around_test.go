package snapbill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// The calls that answer with a bare result are read back.
func TestAroundSamples(t *testing.T) {
	all := samples(t)
	client := mocked(t)
	read := func(change func(map[string]any)) {
		s := all["client_get"]
		var reply map[string]any
		require.NoError(t, json.Unmarshal(s.Body, &reply))
		change(reply["client"].(map[string]any))
		text, err := json.Marshal(reply)
		require.NoError(t, err)
		s.Body = text
		expect(t, s)
	}
	expect(t, all["client_set_payment"])
	read(func(c map[string]any) { c["payment_method"] = map[string]any{"code": "other"} })
	now, err := client.SetPayment(t.Context(), "158975", snapbill.SetPayment{PaymentMethodCode: "other"})
	require.NoError(t, err)
	require.Equal(t, snapbill.ID(158975), now.ID)
	expect(t, all["client_set_payment"])
	read(func(c map[string]any) { c["payment_method"] = map[string]any{"code": "netcash"} })
	_, err = client.SetPayment(t.Context(), "158975", snapbill.SetPayment{PaymentMethodCode: "other"})
	require.Equal(t, []string{`payment_method_code: is "netcash" at the service, and "other" was asked for`},
		faultsOf(t, err))

	expect(t, all["client_delete"])
	read(func(c map[string]any) { c["state"] = "dead" })
	_, err = client.DeleteClient(t.Context(), "158975")
	require.NoError(t, err)
	expect(t, all["client_delete"])
	read(func(map[string]any) {})
	now, err = client.DeleteClient(t.Context(), "158975")
	require.Equal(t, []string{`state: is "active" at the service, and "dead" was asked for`}, faultsOf(t, err))
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.NotNil(t, now, "the client is beside it")

	expect(t, all["service_remove"])
	require.NoError(t, client.RemoveService(t.Context(), "155685"))
}

// What SnapBill could not accept is refused here, all of it at once, and
// nothing is sent.
func TestBadAround(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	c := newClient(t, server.Config())
	sunday, eighth := time.Sunday, time.Weekday(7)
	type secrets = map[string]snapbill.Secret
	recurring := func(a snapbill.AddRecurringInvoice) error {
		_, err := c.AddRecurringInvoice(t.Context(), "158958", a)
		return err
	}
	setPayment := func(id string, s snapbill.SetPayment) error {
		_, err := c.SetPayment(t.Context(), id, s)
		return err
	}
	lines := []snapbill.AddLine{{UnitCost: "1", Quantity: "1"}}
	for name, x := range map[string]struct {
		err  error
		want []string
	}{
		"set payment": {setPayment("158958",
			snapbill.SetPayment{Fields: secrets{"Number": snapbill.NewSecret("canary"), "bank": {},
				"payment_method_code": snapbill.NewSecret("other")}}),
			[]string{"bank: is empty", `fields: "Number" is not the name of a field`,
				`fields: "payment_method_code" is not the name of a field`, "payment_method_code: is empty"}},
		"an address": {setPayment("x/y", snapbill.SetPayment{PaymentMethodCode: "other"}),
			[]string{`id: must be a number, or an xid such as "Clw:Xc"`}},
		"recurring": {recurring(snapbill.AddRecurringInvoice{Last: "x", Weekday: &sunday, Number: 1, Interval: -1}),
			[]string{
				`mode: "" is not ONCEOFF, DAYWEEK, DAYMONTH or WEEKDAYMONTH`, `first: "" is not a day like 2014-08-21`,
				`last: "x" is not a day after the first`,
				"weekday: is not used by this mode", "number: is not used by this mode",
				"interval: must be 1 or more, or 0 for 1", "lines: there are none"}},
		"recurring by week": {recurring(snapbill.AddRecurringInvoice{First: "2030-01-01", Last: "2029-12-31",
			Mode: snapbill.WeekdayMonth, Weekday: &eighth,
			Lines: []snapbill.AddLine{{UnitCost: "1.125", Quantity: "x"}}}), []string{
			`last: "2029-12-31" is not a day after the first`, "weekday: is required: Sunday (0) to Saturday (6)",
			"number: is required: the day or the week of the month",
			`item 0 : unit_cost: "1.125" is not a decimal with up to two places`,
			`item 0 : quantity: "x" is not a decimal with up to two places`}},
		"recurring on a day": {recurring(snapbill.AddRecurringInvoice{First: "2030-01-01", Mode: snapbill.DayWeek,
			Lines: lines}), []string{"weekday: is required: Sunday (0) to Saturday (6)"}},
		"a service": {func() error {
			_, err := c.AddService(t.Context(), "158958", snapbill.AddService{})
			return err
		}(),
			[]string{"service_type_id: is required", "package: is required", "term: is required"}},
		"an expiry": {func() error { _, err := c.UpdatePaymentDetails(t.Context(), "1", "06/2025"); return err }(),
			[]string{`expiry: "06/2025" is not a month like 2027-06`}},
		"a client": {second(c.AddClient(t.Context(), snapbill.CustomerFields{CountryCode: "za", CurrencyCode: "R",
			Discount: "5%", Credit: "1"})), []string{
			`country_code: "za" is not a code of ISO 3166 like ZA`,
			`currency_code: "R" is not a code of ISO 4217 like ZAR`,
			`discount: "5%" is not a decimal from 0 with up to two places`,
			"firstname: or surname or company is required", "credit: is for UpdateClient"}},
		"a credit": {second(c.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{Credit: "1.005"})),
			[]string{`credit: "1.005" is not a decimal from 0 with up to two places`}},
		"a debit": {second(c.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{Credit: "-1"})),
			[]string{`credit: "-1" is not a decimal from 0 with up to two places`}},
		"no change": {second(c.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{})),
			[]string{"fields: are all empty: nothing would change"}},
		"an invoice": {second(c.AddInvoice(t.Context(), "158958", snapbill.AddInvoice{Date: "1/1/2030", Type: "bill",
			State: "paid", Discount: "x"})), []string{
			`date: "1/1/2030" is not a day like 2014-08-21`, `type: "bill" is not invoice, quote or credit`,
			`state: "paid" is not unpaid, draft, quote or credit`,
			`discount: "x" is not a decimal from 0 with up to two places`, "lines: there are none"}},
		"a command": {func() error {
			_, err := c.Send(t.Context(), snapbill.Command{Class: "Client", ID: "../1", Name: "add-to"})
			return err
		}(), []string{`id: must be a number, or an xid such as "Clw:Xc"`, `class: "Client" is not the name of a class`,
			`name: "add-to" is not the name of a command`}},
		"a command with a method": {func() error {
			_, err := c.Send(t.Context(), snapbill.Command{Class: "batch", ID: "1500", Name: "update",
				Form: url.Values{"state": {"submit"}}, Repeatable: true})
			return err
		}(), []string{"name: batch/update has a method of its own: Client.UpdateBatch"}},
		"a command with a method by code": {func() error {
			_, err := c.Send(t.Context(), snapbill.Command{Class: "currency", ID: "ZAR", Name: "get"})
			return err
		}(), []string{"name: currency/get has a method of its own: Client.GetCurrency"}},
		"a document": {func() error {
			_, err := c.Send(t.Context(), snapbill.Command{Class: "invoice", ID: "1", Name: "pdf"})
			return err
		}(), []string{"name: invoice/pdf has a method of its own: Client.InvoicePDF"}},
	} {
		require.ErrorIs(t, x.err, batch.ErrInvalid, name)
		got := faultsOf(t, x.err)
		for n := range got {
			got[n] = strings.Replace(got[n], `item 0: `, `item 0 : `, 1)
		}
		require.Equal(t, x.want, got, name)
		require.NotContains(t, x.err.Error(), "canary")
	}
	require.Zero(t, server.Log.Count(""))
}

// Each call that is sent once has the same care as a submit: what it does
// happens at most once, only SnapBill's own words are a refusal, and whatever is
// unclear is ErrAmbiguous, with a read that tells what became of it.
func TestOnceAround(t *testing.T) {
	type effect = func(context.Context, *snapbilltest.Server, *snapbill.Client) int
	count := func(seq func(*snapbill.Client) (int, error)) effect {
		return func(_ context.Context, _ *snapbilltest.Server, c *snapbill.Client) int {
			n, err := seq(c)
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	ctx := context.Background()
	submitted := func(c *snapbill.Client) (int, error) {
		b, err := c.GetBatch(ctx, "1500")
		return strings.Count(string(b.State), "submit"), err
	}
	calls := map[string]struct {
		call   func(context.Context, *snapbill.Client) error
		effect effect
	}{
		"SetPayment": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.SetPayment(ctx, "158958", snapbill.SetPayment{PaymentMethodCode: "netcash",
				Fields: map[string]snapbill.Secret{"bank": snapbill.NewSecret("FNB"),
					"account_number": snapbill.NewSecret("6200558812")}})
			return err
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListPaymentDetails(ctx, 158958), 0)
			return len(all) - 1, err
		})},
		"UpdatePaymentDetails": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.UpdatePaymentDetails(ctx, "143475", "2027-06")
			return err
		}, count(func(c *snapbill.Client) (int, error) {
			d, err := c.GetPaymentDetails(ctx, "143475")
			return strings.Count(string(d.Expiry), "2027-06"), err
		})},
		"DeleteClient": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.DeleteClient(ctx, "158958")
			return err
		},
			count(func(c *snapbill.Client) (int, error) {
				found, err := c.GetClient(ctx, "158958")
				return strings.Count(string(found.State), "dead"), err
			})},
		"AddRecurringInvoice": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.AddRecurringInvoice(ctx, "158958", snapbill.AddRecurringInvoice{First: "2030-01-01",
				Mode: snapbill.DayMonth, Number: -1, Interval: 12, Last: "2031-01-01",
				Lines: []snapbill.AddLine{{Description: "x", UnitCost: "1.50", Quantity: "2"}}})
			return err
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListRecurringInvoices(ctx, 158958), 0)
			return len(all), err
		})},
		"AddService": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.AddService(ctx, "158958", snapbill.AddService{ServiceTypeID: 596, Package: "Delicious Pancakes",
				Term: 1})
			return err
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListServices(ctx, snapbill.ListServicesOptions{}), 0)
			return len(all), err
		})},
		"AddUser": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.AddUser(ctx, "158958", snapbill.AddUser{Name: "George", Username: "george",
				Password: snapbill.NewSecret("canary-pw-5512")})
			return err
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListUsers(ctx, snapbill.ListUsersOptions{ClientID: 158958}), 0)
			return len(all), err
		})},
		"SendLostPassword": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.SendLostPassword(ctx, "158958")
			return err
		},
			count(func(c *snapbill.Client) (int, error) {
				all, err := rows(c.ListEmails(ctx, 158958), 0)
				return len(all), err
			})},
		"AddBatch": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2030-01-02"}))
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListBatches(ctx, snapbill.ListBatchesOptions{}), 0)
			return len(all) - 1, err
		})},
		"UpdateBatch": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.UpdateBatch(ctx, "1500", snapbill.UpdateBatch{State: snapbill.BatchSubmit}))
		}, count(submitted)},
		"SetBatchState": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.SetBatchState(ctx, "1500", snapbill.BatchSubmit))
		}, count(submitted)},
		"AddClient": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.AddClient(ctx, snapbill.CustomerFields{FirstName: "jane", Number: "c-77"}))
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListClients(ctx, snapbill.ListClientsOptions{Query: "c-77"}), 0)
			return len(all), err
		})},
		"UpdateClient": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.UpdateClient(ctx, "158958", snapbill.CustomerFields{Credit: "25"}))
		}, func(ctx context.Context, s *snapbilltest.Server, c *snapbill.Client) int {
			found, err := c.GetClient(ctx, "158958")
			if err != nil || int(found.CreditCents.Value) != 2500*s.CreditsOf("001") {
				panic(fmt.Sprint(found, err))
			}
			return int(found.CreditCents.Value) / 2500
		}},
		"AddInvoice": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.AddInvoice(ctx, "158958",
				snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: "1.50", Quantity: "2"}}}))
		}, count(func(c *snapbill.Client) (int, error) {
			all, err := rows(c.ListInvoices(ctx, 158958), 0)
			return len(all) - 1, err
		})},
		"GenerateInvoice": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.GenerateInvoice(ctx, "158958"))
		},
			count(func(c *snapbill.Client) (int, error) {
				all, err := rows(c.ListInvoices(ctx, 158958), 0)
				return len(all) - 1, err
			})},
		"RemoveService": {func(ctx context.Context, c *snapbill.Client) error { return c.RemoveService(ctx, "155685") },
			count(func(c *snapbill.Client) (int, error) {
				found, err := c.GetClient(ctx, "158958")
				return strings.Count(string(found.Services), "[]"), err
			})},
		"AddSession": {func(ctx context.Context, c *snapbill.Client) error { return second(c.AddSession(ctx, "2480")) },
			nil},
		"Command": {func(ctx context.Context, c *snapbill.Client) error {
			return second(c.Send(ctx, snapbill.Command{Class: "client", Name: "add_to_batch"}))
		}, nil},
		"ObjectCommand": {func(ctx context.Context, c *snapbill.Client) error {
			_, err := c.Send(ctx, snapbill.Command{Class: "client", ID: "158958", Name: "add_to_batch",
				Form: url.Values{"batch_id": {"1500"}}})
			return err
		}, nil},
	}
	faults := []batchsim.Scenario{"", batchsim.Refused, batchsim.Unauthorized, batchsim.LostBefore, batchsim.LostAfter,
		batchsim.ErrorBefore, batchsim.ErrorAfter,
		batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.SilentAfter, batchsim.Redirected,
		batchsim.Unavailable}
	prepare := map[string]func(context.Context, *snapbill.Client) error{
		"RemoveService": func(ctx context.Context, c *snapbill.Client) error {
			return calls["AddService"].call(ctx, c)
		},
		"GenerateInvoice": func(ctx context.Context, c *snapbill.Client) error {
			return calls["AddService"].call(ctx, c)
		},
		"AddSession": func(ctx context.Context, c *snapbill.Client) error { return calls["AddUser"].call(ctx, c) },
	}
	for op, x := range calls {
		for _, fault := range faults {
			t.Run(fmt.Sprint(op, " ", fault), func(t *testing.T) {
				var done atomic.Int64 // The simulator counts in a goroutine of its own.
				o := snapbilltest.Options{KeepsOldDetails: true, Commands: map[string]func(string, url.Values){
					"client/add_to_batch": func(string, url.Values) { done.Add(1) }}}
				bubble(t, o, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
					server.Bill("001", "2030-01-01", 100)
					server.NewBatch("2030-01-01")
					if before := prepare[op]; before != nil {
						require.NoError(t, before(t.Context(), client))
					}
					if fault != "" {
						server.Kit.Break(op, fault,
							batchsim.JSON(400,
								`{"code":400,"type":"result","status":"error","message":"no","errors":{"payment_method_code":"no"}}`),
							batchsim.JSON(401, `{"code":401,"type":"result","status":"error","message":"No login"}`))
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					err := x.call(ctx, client)
					want := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}
					kind, sure := want[fault]
					if !sure {
						kind = batch.ErrAmbiguous
					}
					require.Equal(t, kind, batch.KindOf(err), "%v", err)
					require.Equal(t, 1, server.Log.Count(op), "it is sent once")
					if err != nil {
						require.NotContains(t, err.Error(), "canary")
						require.NotContains(t, err.Error(), "6200558812")
					}
					happened := int(done.Load())
					switch op {
					case "ObjectCommand", "Command":
					case "AddSession":
						return // Nothing lists the links: another one is asked for.
					default:
						happened = x.effect(ctx, server, client)
					}
					applied := fault == "" || strings.HasSuffix(string(fault), "after") && fault != batchsim.Unavailable
					require.Equal(t, applied, happened == 1, "a read tells what became of it: %d", happened)
				})
			})
		}
	}
	for _, op := range snapbill.Operations {
		_, tried := calls[op.Name]
		require.Equal(t, op.Safety == batchhttp.Once, tried, op.Name)
	}
}

func second[T any](_ T, err error) error { return err }

// A credit is presumably the total. If the service adds it, or takes no notice, the
// caller is told. An equal credit books nothing.
func TestCredit(t *testing.T) {
	s := samples(t)["client_update_credit"]
	client := mocked(t)
	expect(t, s)
	now, err := client.UpdateClient(t.Context(), "158975", snapbill.CustomerFields{Credit: "25.00"})
	require.NoError(t, err)
	require.Equal(t, snapbill.Int(2500), now.CreditCents.Value)
	for _, adds := range []bool{false, true} {
		server := snapbilltest.New(&snapbilltest.Options{AddsCredit: adds})
		t.Cleanup(server.Close)
		client := newClient(t, server.Config())
		server.Bill("001", "2030-01-01", 100)
		for range 2 {
			now, err = client.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{Credit: "25.00"})
			require.NotNil(t, now)
		}
		require.Equal(t, adds, errors.Is(err, batch.ErrProtocol), "%v", err)
		if adds {
			require.Equal(t, []string{`credit: is "50.00" at the service, and "25.00" was asked for`}, faultsOf(t, err))
		}
		require.Equal(t, map[bool]int{false: 1, true: 2}[adds], server.CreditsOf("001"))
	}
}

// A field of a bank account, and a password, are in no log, no error and no print.
func TestBankDetailsAreSecrets(t *testing.T) {
	var log bytes.Buffer
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	config := server.Config()
	config.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, config)
	server.Bill("001", "2030-01-01", 100)
	s := snapbill.SetPayment{PaymentMethodCode: "netcash",
		Fields: map[string]snapbill.Secret{"account_number": snapbill.NewSecret("canary-5512")}}
	server.Inject(batchsim.Fault{Op: "SetPayment", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(400,
			`{"code":400,"type":"result","status":"error","message":"canary-5512 is wrong","errors":{"account_number":"canary-5512 is wrong"}}`)})
	_, err := c.SetPayment(t.Context(), "158958", s)
	require.ErrorIs(t, err, batch.ErrInvalid)
	server.Inject(batchsim.Fault{Op: "AddUser", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(400,
			`{"code":400,"type":"result","status":"error","message":"canary-7788 is weak","errors":[]}`)})
	_, weak := c.AddUser(t.Context(), "158958", snapbill.AddUser{Password: snapbill.NewSecret("canary-7788")})
	require.ErrorIs(t, weak, batch.ErrInvalid)
	user, userErr := c.AddUser(t.Context(), "158958",
		snapbill.AddUser{Username: "george", Password: snapbill.NewSecret("canary-7788")})
	require.NoError(t, userErr)
	require.Equal(t, "canary-7788", user.Password.Reveal())
	text, encodeErr := json.Marshal([]any{s, user})
	require.NoError(t, encodeErr)
	var faults []string
	faults = append(faults, faultsOf(t, err)...)
	for _, shown := range []string{err.Error(), weak.Error(), log.String(), fmt.Sprintf("%v %+v %#v", s, s, s),
		fmt.Sprintf("%+v", *user), string(text), fmt.Sprint(faults)} {
		require.NotContains(t, shown, "canary")
		require.NotContains(t, shown, fmt.Sprintf("%x", "canary"))
	}
	require.NotContains(t, fmt.Sprintf("%v %+v", snapbill.Session{URL: "https://canary"},
		snapbill.Session{URL: "https://canary"}), "canary")
}

// Around a batch: what the simulator plays is what the client sees.
func TestAroundOfTheSimulator(t *testing.T) {
	done := make(map[string]string)
	server := snapbilltest.New(&snapbilltest.Options{ShowsDetailsState: true,
		Commands: map[string]func(string, url.Values){
			"client/add_to_batch": func(id string, form url.Values) { done[id] = form.Encode() }}})
	t.Cleanup(server.Close)
	c := newClient(t, server.Config())
	ctx := t.Context()
	server.Bill("001", "2030-01-01", 100)
	service, err := c.AddService(ctx, "158958", snapbill.AddService{ServiceTypeID: 596, Package: "Delicious Pancakes",
		Term: 1})
	require.NoError(t, err)
	client, err := c.GetClient(ctx, "158958")
	require.NoError(t, err)
	require.Contains(t, string(client.Services), service.ID.String())
	invoice, err := c.GenerateInvoice(ctx, "158958")
	require.NoError(t, err)
	require.Equal(t, snapbill.Int(29000), invoice.TotalCents.Value, "the set-up fee and a month")
	require.NoError(t, c.RemoveService(ctx, service.ID.String()))
	client, err = c.GetClient(ctx, "158958")
	require.NoError(t, err)
	require.Equal(t, "[]", string(client.Services))
	require.ErrorIs(t, c.RemoveService(ctx, "1"), batch.ErrNotFound)

	kind, err := c.GetServiceType(ctx, "596")
	require.NoError(t, err)
	p, err := c.GetPackage(ctx, "25756")
	require.NoError(t, err)
	require.Equal(t, kind.ID, p.ServiceType.Value.ID)
	require.Equal(t, snapbill.Int(24000), p.Terms.Value[0].FeeCents.Value)

	for _, want := range []string{"george", "george1"} {
		user, err := c.AddUser(ctx, "158958", snapbill.AddUser{Username: "george"})
		require.Equal(t, want == "george1", err != nil, "a name that is taken is told")
		require.Equal(t, want, string(user.Username))
		require.NotEmpty(t, user.Password.Reveal())
		session, err := c.AddSession(ctx, user.ID.String())
		require.NoError(t, err)
		require.NotEmpty(t, session.URL)
	}
	file, err := c.InvoicePDF(ctx, invoice.ID.String())
	require.NoError(t, err)
	require.Contains(t, string(file), "%PDF-1.4 invoice 001/")
	require.Equal(t, "application/pdf", server.Log.Requests("InvoicePDF")[0].Header.Get("Accept"))
	_, err = c.InvoicePDF(ctx, "1")
	require.ErrorIs(t, err, batch.ErrNotFound)
	for _, body := range []string{"<html>log in</html>", `{"code":200,"type":"form"}`} {
		always(server, "InvoicePDF", body)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err = c.InvoicePDF(short, invoice.ID.String())
		cancel()
		require.Error(t, err, "it is not a PDF file")
	}
	always(server, "InvoicePDF", `{"code":404,"type":"error","message":"Not found"}`)
	_, err = c.InvoicePDF(ctx, invoice.ID.String())
	require.ErrorIs(t, err, batch.ErrNotFound)

	reply, err := c.Send(ctx, snapbill.Command{Class: "client", ID: string(client.XID), Name: "add_to_batch",
		Form: url.Values{"batch_id[]": {"1", "2"}}})
	require.NoError(t, err)
	require.Equal(t, snapbill.Text("result"), reply.Type)
	require.Equal(t, map[string]string{string(client.XID): "batch_id%5B%5D=1&batch_id%5B%5D=2"}, done)
	_, err = c.Send(ctx, snapbill.Command{Class: "client", Name: "unheard_of"})
	require.ErrorIs(t, err, batch.ErrNotFound)
}

// A command that the caller says only reads is sent again when it fails.
func TestARepeatableCommand(t *testing.T) {
	bubble(t,
		snapbilltest.Options{Commands: map[string]func(string, url.Values){"timezone/list": func(string,
			url.Values) {
		}}},
		func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
			for repeatable, want := range map[bool]int{false: 1, true: 2} {
				server.Inject(batchsim.Fault{Op: "Command", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
				before := server.Log.Count("Command")
				_, err := client.Send(t.Context(), snapbill.Command{Class: "timezone", Name: "list",
					Repeatable: repeatable})
				require.Equal(t, repeatable, err == nil, "%v", err)
				require.Equal(t, want, server.Log.Count("Command")-before)
			}
		})
}

// SnapBill's own Python client keeps objects by number: no two clients share
// one set of payment details, whatever happens to them.
func TestPaymentDetailsAreOfOneClient(t *testing.T) {
	server := snapbilltest.New(&snapbilltest.Options{Bounces: []string{"002"}, Refutes: []string{"003"},
		ShowsDetailsState: true})
	t.Cleanup(server.Close)
	c := newClient(t, server.Config())
	owner := make(map[snapbill.ID]snapbill.ID)
	look := func() map[string]string {
		states := make(map[string]string)
		check := func(d snapbill.PaymentDetails) {
			require.NotZero(t, d.Client.Value.ID)
			if known, seen := owner[d.ID]; seen {
				require.Equal(t, known, d.Client.Value.ID, "details %d are under two clients", d.ID)
			}
			owner[d.ID] = d.Client.Value.ID
			states[string(d.Client.Value.Number)+" "+d.ID.String()] = string(d.State)
		}
		details, err := rows(c.ListPaymentDetails(t.Context(), 0), 0)
		require.NoError(t, err)
		for _, d := range details {
			check(d)
		}
		payments, err := rows(c.ListPayments(t.Context(), snapbill.ListPaymentsOptions{}), 0)
		require.NoError(t, err)
		for _, p := range payments {
			require.Equal(t, p.Client.Value.ID, p.PaymentDetails.Value.Client.Value.ID)
			check(p.PaymentDetails.Value)
		}
		return states
	}
	collect := func(numbers ...string) int {
		for _, number := range numbers {
			server.Bill(number, "2030-01-01", 100)
		}
		id := server.NewBatch("2030-01-01")
		server.Submit(id)
		server.FinishAll()
		b, err := c.GetBatch(t.Context(), fmt.Sprint(id))
		require.NoError(t, err)
		return int(b.Totals["total"])
	}
	require.Equal(t, 3, collect("001", "002", "003"))
	require.Equal(t, map[string]string{"001 143475": "active", "002 143476": "active", "003 143477": "disabled"},
		look(), "one dispute")
	require.Equal(t, 2, collect("001", "002", "003"), "disabled details are on no batch")
	require.Equal(t, map[string]string{"001 143475": "active", "002 143476": "disabled", "003 143477": "disabled"},
		look(), "two debits in a row")
	_, err := c.SetPayment(t.Context(), "158959", snapbill.SetPayment{PaymentMethodCode: "netcash",
		Fields: map[string]snapbill.Secret{"account_number": snapbill.NewSecret("6200558812")}})
	require.NoError(t, err)
	require.Equal(t, 2, collect("001", "002"))
	require.Len(t, look(), 4)
	require.Len(t, owner, 4)
}
