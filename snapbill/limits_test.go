package snapbill_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// Every form that SnapBill documents of a value around the batch, each tried at
// its limit, which is sent, and one beyond, which is refused by name before a
// request. SnapBill documents no lengths.
func TestLimits(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	c := newClient(t, server.Config())
	lines := []snapbill.AddLine{{UnitCost: "1", Quantity: "1"}}
	recurring := func(mode snapbill.RecurringMode, change func(*snapbill.AddRecurringInvoice)) error {
		a := snapbill.AddRecurringInvoice{First: "2099-01-31", Mode: mode, Lines: lines}
		if mode == snapbill.DayMonth || mode == snapbill.WeekdayMonth {
			a.Number = 1
		}
		if sunday := time.Sunday; mode == snapbill.DayWeek || mode == snapbill.WeekdayMonth {
			a.Weekday = &sunday
		}
		change(&a)
		return second(c.AddRecurringInvoice(t.Context(), "158958", a))
	}
	number := func(mode snapbill.RecurringMode, n int) error {
		return recurring(mode, func(a *snapbill.AddRecurringInvoice) { a.Number = n })
	}
	weekday := func(day time.Weekday) error {
		return recurring(snapbill.DayWeek, func(a *snapbill.AddRecurringInvoice) { a.Weekday = &day })
	}
	last := func(day snapbill.Date) error {
		return recurring(snapbill.OnceOff, func(a *snapbill.AddRecurringInvoice) { a.Last = day })
	}
	interval := func(n int) error {
		return recurring(snapbill.DayWeek, func(a *snapbill.AddRecurringInvoice) { a.Interval = n })
	}
	update := func(f snapbill.CustomerFields) error { return second(c.UpdateClient(t.Context(), "158958", f)) }
	invoice := func(a snapbill.AddInvoice) error { return second(c.AddInvoice(t.Context(), "158958", a)) }
	cost := func(text string) error {
		return invoice(snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: text, Quantity: "1"}}})
	}
	quantity := func(text string) error {
		return invoice(snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: "1", Quantity: text}}})
	}
	day := func(d snapbill.Date) error { return invoice(snapbill.AddInvoice{Date: d, Lines: lines}) }
	expiry := func(month string) error { return second(c.UpdatePaymentDetails(t.Context(), "1", month)) }
	service := func(kind snapbill.ID, term int) error {
		return second(c.AddService(t.Context(), "158958",
			snapbill.AddService{ServiceTypeID: kind, Package: "x", Term: term}))
	}
	batchOn := func(d snapbill.Date) error {
		return second(c.AddBatch(t.Context(), snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: d}))
	}
	for limit, x := range map[string]struct {
		at, beyond error
		field      string
	}{
		"the last day of a month":     {number(snapbill.DayMonth, 31), number(snapbill.DayMonth, 32), "number"},
		"its first day, from the end": {number(snapbill.DayMonth, -31), number(snapbill.DayMonth, -32), "number"},
		"the first day of a month":    {number(snapbill.DayMonth, 1), number(snapbill.DayMonth, 0), "number"},
		"the fifth Sunday":            {number(snapbill.WeekdayMonth, 5), number(snapbill.WeekdayMonth, 6), "number"},
		"the fifth from the end": {number(snapbill.WeekdayMonth, -5), number(snapbill.WeekdayMonth, -6),
			"number"},
		"Saturday":              {weekday(time.Saturday), weekday(7), "weekday"},
		"Sunday":                {weekday(time.Sunday), weekday(-1), "weekday"},
		"an interval":           {interval(1), interval(-1), "interval"},
		"a last day not before": {last("2099-01-31"), last("2099-01-30"), "last"},
		"a discount of two places": {update(snapbill.CustomerFields{Discount: "0.01"}),
			update(snapbill.CustomerFields{Discount: "0.001"}), "discount"},
		"a discount from 0": {update(snapbill.CustomerFields{Discount: "0"}),
			update(snapbill.CustomerFields{Discount: "-0.01"}), "discount"},
		"a credit from 0": {update(snapbill.CustomerFields{Credit: "0"}),
			update(snapbill.CustomerFields{Credit: "-0.01"}), "credit"},
		"a country of 2 letters": {update(snapbill.CustomerFields{CountryCode: "ZA"}),
			update(snapbill.CustomerFields{CountryCode: "ZAF"}), "country_code"},
		"a currency of 3 letters": {update(snapbill.CustomerFields{CurrencyCode: "ZAR"}),
			update(snapbill.CustomerFields{CurrencyCode: "ZARX"}), "currency_code"},
		"a unit cost of two places": {cost("1.25"), cost("1.255"), "unit_cost"},
		"a quantity of two places":  {quantity("0.25"), quantity("0.255"), "quantity"},
		"a day that exists":         {day("2096-02-29"), day("2097-02-29"), "date"},
		"a month that exists":       {expiry("2099-12"), expiry("2099-13"), "expiry"},
		"a term":                    {service(1, 1), service(1, 0), "term"},
		"a service type":            {service(1, 1), service(0, 1), "service_type_id"},
		"a name in UTF-8": {
			update(snapbill.CustomerFields{Surname: "é"}), update(snapbill.CustomerFields{Surname: "\xe9"}), "surname"},
		"a field in UTF-8": {update(snapbill.CustomerFields{Data: map[string]string{"é": "x"}}),
			update(snapbill.CustomerFields{Data: map[string]string{"\xe9": "x"}}), "data-?"},
		"a batch on a day that exists": {batchOn("2096-02-29"), batchOn("2097-02-29"), "action_date"},
	} {
		var e *batch.Error
		if errors.As(x.at, &e) { // The simulator may not know it, but it was asked.
			require.Empty(t, e.Fields, "%s: %v", limit, x.at)
			require.NotZero(t, e.Status+len(e.Code), "%s: %v", limit, x.at)
		}
		require.ErrorAs(t, x.beyond, &e, limit)
		require.Equal(t, batch.ErrInvalid, e.Kind, limit)
		require.Len(t, e.Fields, 1, limit)
		require.Equal(t, x.field, e.Fields[0].Field, limit)
		require.Zero(t, e.Status, limit)
	}
	require.NotZero(t, server.Log.Count(""))
}
