package citypay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
)

// Every limit that CityPay documents of a call around the batch, each tried at the
// limit, which is sent, and one beyond, which is refused by name before a request.
func TestLimits(t *testing.T) {
	server, client := startClient(t, nil)
	text := func(n int) string { return strings.Repeat("x", n) }
	wide := func(n int) string { return strings.Repeat("é", n) }
	charge := func(change func(*citypay.ChargeRequest)) error {
		r := sampleCharge()
		change(&r)
		return second(client.Charge(t.Context(), r))
	}
	refund := func(change func(*citypay.RefundRequest)) error {
		r := citypay.RefundRequest{Amount: 1, Identifier: "refund-1", MerchantID: 11223344, RefundRef: 1}
		change(&r)
		return second(client.Refund(t.Context(), r))
	}
	void := func(merchant, number int64) error {
		return second(client.Void(t.Context(), citypay.VoidRequest{MerchantID: merchant, TransNo: number}))
	}
	capture := func(amount int64) error {
		return second(client.Capture(t.Context(),
			citypay.CaptureRequest{Amount: amount, MerchantID: 11223344, TransNo: 1}))
	}
	look := func(id string, number int64) error {
		return second(client.RetrieveTransactions(t.Context(), citypay.RetrieveRequest{MerchantID: 11223344,
			Identifier: id, TransNo: number}))
	}
	account := func(id string) error { return second(client.RetrieveAccount(t.Context(), id)) }
	contact := func(change func(*citypay.Contact)) error {
		c := citypay.Contact{Title: "Dr"}
		change(&c)
		return second(client.UpdateContact(t.Context(), "account-1", c))
	}
	card := func(change func(*citypay.RegisterCardRequest)) error {
		r := goodCard()
		change(&r)
		return second(client.RegisterCard(t.Context(), "account-1", r))
	}
	number := func(s string) error {
		return card(func(r *citypay.RegisterCardRequest) { r.CardNumber = citypay.NewSecret(s) })
	}
	page := func(n int) error {
		return second(client.MerchantBatchReport(t.Context(),
			citypay.MerchantBatchReportRequest{Page: citypay.Page{MaxResults: n}}))
	}
	merchants := func(id int64) error {
		return second(client.MerchantBatchReport(t.Context(),
			citypay.MerchantBatchReportRequest{MerchantIDs: []int64{id}}))
	}
	list := func(client310 string) error { return second(client.ListMerchants(t.Context(), client310)) }
	channel := func(change func(*citypay.ChannelConfig)) error {
		r := sampleChannel()
		change(&r.Config)
		return second(client.CreateChannel(t.Context(), r))
	}
	ip := func(ahead time.Duration) error {
		return second(client.RegisterTempIP(t.Context(), "10.0.0.1", time.Now().Add(ahead)))
	}
	key := func(n int) error { return second(client.CheckDomainKey(t.Context(), citypay.NewSecret(text(n)))) }
	const most, int32s = 999_999_999, 1<<31 - 1
	now := time.Now().UTC()
	for limit, c := range map[string]struct {
		at, beyond error
		field      string
	}{
		"charge: amount from 1": {charge(func(r *citypay.ChargeRequest) { r.Amount = 1 }),
			charge(func(r *citypay.ChargeRequest) { r.Amount = 0 }), "amount"},
		"charge: amount of 9 digits": {charge(func(r *citypay.ChargeRequest) { r.Amount = most }),
			charge(func(r *citypay.ChargeRequest) { r.Amount = most + 1 }), "amount"},
		"charge: identifier from 5": {charge(func(r *citypay.ChargeRequest) { r.Identifier = text(5) }),
			charge(func(r *citypay.ChargeRequest) { r.Identifier = text(4) }), "identifier"},
		"charge: identifier to 50": {charge(func(r *citypay.ChargeRequest) { r.Identifier = text(50) }),
			charge(func(r *citypay.ChargeRequest) { r.Identifier = text(51) }), "identifier"},
		"charge: identifier from space": {charge(func(r *citypay.ChargeRequest) { r.Identifier = "a b c" }),
			charge(func(r *citypay.ChargeRequest) { r.Identifier = "a\x1fb c" }), "identifier"},
		"charge: identifier to tilde": {charge(func(r *citypay.ChargeRequest) { r.Identifier = "a~b~c" }),
			charge(func(r *citypay.ChargeRequest) { r.Identifier = "a\x7fb~c" }), "identifier"},
		"charge: merchant from 1": {charge(func(r *citypay.ChargeRequest) { r.MerchantID = 1 }),
			charge(func(r *citypay.ChargeRequest) { r.MerchantID = 0 }), "merchantid"},
		"charge: merchant of int32": {charge(func(r *citypay.ChargeRequest) { r.MerchantID = int32s }),
			charge(func(r *citypay.ChargeRequest) { r.MerchantID = int32s + 1 }), "merchantid"},
		"charge: csc from 3": {charge(func(r *citypay.ChargeRequest) { r.CSC = citypay.NewSecret("012") }),
			charge(func(r *citypay.ChargeRequest) { r.CSC = citypay.NewSecret("01") }), "csc"},
		"charge: csc to 4": {charge(func(r *citypay.ChargeRequest) { r.CSC = citypay.NewSecret("0123") }),
			charge(func(r *citypay.ChargeRequest) { r.CSC = citypay.NewSecret("01234") }), "csc"},
		"charge: currency of 3": {charge(func(r *citypay.ChargeRequest) { r.Currency = "EUR" }),
			charge(func(r *citypay.ChargeRequest) { r.Currency = "EURO" }), "currency"},
		"charge: trans_info to 50": {charge(func(r *citypay.ChargeRequest) { r.TransInfo = wide(50) }),
			charge(func(r *citypay.ChargeRequest) { r.TransInfo = wide(51) }), "trans_info"},
		"charge: trans_info in UTF-8": {charge(func(r *citypay.ChargeRequest) { r.TransInfo = "é" }),
			charge(func(r *citypay.ChargeRequest) { r.TransInfo = "\xe9" }), "trans_info"},
		"refund: amount of 9 digits": {refund(func(r *citypay.RefundRequest) { r.Amount = most }),
			refund(func(r *citypay.RefundRequest) { r.Amount = most + 1 }), "amount"},
		"refund: identifier to 50": {refund(func(r *citypay.RefundRequest) { r.Identifier = text(50) }),
			refund(func(r *citypay.RefundRequest) { r.Identifier = text(51) }), "identifier"},
		"refund: refund_ref from 1": {refund(func(r *citypay.RefundRequest) { r.RefundRef = 1 }),
			refund(func(r *citypay.RefundRequest) { r.RefundRef = 0 }), "refund_ref"},
		"refund: refund_ref of int32": {refund(func(r *citypay.RefundRequest) { r.RefundRef = int32s }),
			refund(func(r *citypay.RefundRequest) { r.RefundRef = int32s + 1 }), "refund_ref"},
		"void: merchant of int32":     {void(int32s, 1), void(int32s+1, 1), "merchantid"},
		"void: transno from 1":        {void(11223344, 1), void(11223344, 0), "transno"},
		"void: transno of int32":      {void(11223344, int32s), void(11223344, int32s+1), "transno"},
		"capture: amount of 9 digits": {capture(most), capture(most + 1), "amount"},
		"look-up: identifier from 4":  {look(text(4), 0), look(text(3), 0), "identifier"},
		"look-up: identifier to 50":   {look(text(50), 0), look(text(51), 0), "identifier"},
		"look-up: transno of int32":   {look("", int32s), look("", int32s+1), "transno"},
		"account: id from 5":          {account(text(5)), account(text(4)), "accountid"},
		"account: id to 50":           {account(text(50)), account(text(51)), "accountid"},
		"contact: address to 50": {contact(func(c *citypay.Contact) { c.Address3 = wide(50) }),
			contact(func(c *citypay.Contact) { c.Address3 = wide(51) }), "address3"},
		"contact: area to 50": {contact(func(c *citypay.Contact) { c.Area = wide(50) }),
			contact(func(c *citypay.Contact) { c.Area = wide(51) }), "area"},
		"contact: country of 2": {contact(func(c *citypay.Contact) { c.Country = "GB" }),
			contact(func(c *citypay.Contact) { c.Country = "GBR" }), "country"},
		"contact: email to 254": {contact(func(c *citypay.Contact) { c.Email = text(254) }),
			contact(func(c *citypay.Contact) { c.Email = text(255) }), "email"},
		"contact: mobile_no to 20": {contact(func(c *citypay.Contact) { c.MobileNo = text(20) }),
			contact(func(c *citypay.Contact) { c.MobileNo = text(21) }), "mobile_no"},
		"contact: telephone_no to 20": {contact(func(c *citypay.Contact) { c.TelephoneNo = text(20) }),
			contact(func(c *citypay.Contact) { c.TelephoneNo = text(21) }), "telephone_no"},
		"contact: postcode to 16": {contact(func(c *citypay.Contact) { c.Postcode = text(16) }),
			contact(func(c *citypay.Contact) { c.Postcode = text(17) }), "postcode"},
		"contact: names in UTF-8": {contact(func(c *citypay.Contact) { c.LastName = "é" }),
			contact(func(c *citypay.Contact) { c.LastName = "\xe9" }), "lastname"},
		"card: number from 12": {number("630400000000"), number("63040000000"), "cardnumber"},
		"card: number to 22, in all": {number("4000 0000 0000 0002" + "   "), number("4000 0000 0000 0002" + "    "),
			"cardnumber"},
		"card: Luhn": {number("4000000000000002"), number("4000000000000003"), "cardnumber"},
		"card: this month": {card(func(r *citypay.RegisterCardRequest) {
			r.ExpMonth, r.ExpYear = int(now.Month()), now.Year()
		}), card(func(r *citypay.RegisterCardRequest) { r.ExpMonth, r.ExpYear = 12, now.Year()-1 }), "expyear"},
		"card: year to 2100": {card(func(r *citypay.RegisterCardRequest) { r.ExpYear = 2100 }),
			card(func(r *citypay.RegisterCardRequest) { r.ExpYear = 2101 }), "expyear"},
		"card: month from 1": {card(func(r *citypay.RegisterCardRequest) { r.ExpMonth = 1 }),
			card(func(r *citypay.RegisterCardRequest) { r.ExpMonth = 0 }), "expmonth"},
		"card: month to 12": {card(func(r *citypay.RegisterCardRequest) { r.ExpMonth = 12 }),
			card(func(r *citypay.RegisterCardRequest) { r.ExpMonth = 13 }), "expmonth"},
		"card: name from 2": {card(func(r *citypay.RegisterCardRequest) { r.NameOnCard = "ab" }),
			card(func(r *citypay.RegisterCardRequest) { r.NameOnCard = "a" }), "name_on_card"},
		"card: name to 45": {card(func(r *citypay.RegisterCardRequest) { r.NameOnCard = wide(45) }),
			card(func(r *citypay.RegisterCardRequest) { r.NameOnCard = wide(46) }), "name_on_card"},
		"report: page from 5":          {page(5), page(4), "maxResults"},
		"report: page to 250":          {page(250), page(251), "maxResults"},
		"report: merchant from 1":      {merchants(1), merchants(0), "merchant_id[0]"},
		"report: merchant of 8 digits": {merchants(99_999_999), merchants(100_000_000), "merchant_id[0]"},
		"merchants: client from 3":     {list("PC1"), list("PC"), "clientid"},
		"merchants: client to 10":      {list(text(10)), list(text(11)), "clientid"},
		"channel: time-out from 1000": {channel(func(c *citypay.ChannelConfig) { c.ReadTimeout = 1000 }),
			channel(func(c *citypay.ChannelConfig) { c.ReadTimeout = 999 }), "config.read_timeout"},
		"channel: time-out to 30000": {channel(func(c *citypay.ChannelConfig) { c.ConnectTimeout = 30_000 }),
			channel(func(c *citypay.ChannelConfig) { c.ConnectTimeout = 30_001 }), "config.connect_timeout"},
		"address: to 720 hours": {ip(720 * time.Hour), ip(720*time.Hour + time.Hour), "exp"},
		"domain key: from 64":   {key(64), key(63), "domain_key"},
		"domain key: to 512":    {key(512), key(513), "domain_key"},
	} {
		var e *batch.Error
		if c.at != nil { // The simulator may not know it, but it was asked.
			require.ErrorAs(t, c.at, &e, limit)
			require.Empty(t, e.Fields, "%s: %v", limit, c.at)
			require.NotZero(t, e.Status+len(e.Code), "%s: %v", limit, c.at)
		}
		require.ErrorAs(t, c.beyond, &e, limit)
		require.Equal(t, batch.ErrInvalid, e.Kind, limit)
		require.Len(t, e.Fields, 1, limit)
		require.Equal(t, c.field, e.Fields[0].Field, limit)
		require.Zero(t, e.Status, limit)
	}
	require.NotZero(t, server.Log.Count(""))
}

func second[T any](_ T, err error) error { return err }

// Every operation that takes a secret is here, by reflection over the client: no
// error, log or print of it shows the secret, whatever CityPay echoes.
func TestNoOperationShowsItsSecret(t *testing.T) {
	const pan, csc, token, header = "4659010000000005", "7391", "ct-canary-token-5512", "canary-header-7788"
	domainKey := strings.Repeat("canary-key-", 8)
	takes := map[string]func(context.Context, *citypay.Client) (any, error){
		"RegisterCard": func(ctx context.Context, c *citypay.Client) (any, error) {
			r := goodCard()
			r.CardNumber = citypay.NewSecret(pan)
			return r, second(c.RegisterCard(ctx, "account-1", r))
		},
		"Charge": func(ctx context.Context, c *citypay.Client) (any, error) {
			r := sampleCharge()
			r.Token, r.CSC = citypay.NewSecret(token), citypay.NewSecret(csc)
			return r, second(c.Charge(ctx, r))
		},
		"CheckDomainKey": func(ctx context.Context, c *citypay.Client) (any, error) {
			return citypay.NewSecret(domainKey), second(c.CheckDomainKey(ctx, citypay.NewSecret(domainKey)))
		},
		"CreateChannel": func(ctx context.Context, c *citypay.Client) (any, error) {
			r := sampleChannel()
			r.Config.Headers = map[string]citypay.Secret{"X-Key": citypay.NewSecret(header)}
			return r, second(c.CreateChannel(ctx, r))
		},
	}
	methods := reflect.TypeFor[*citypay.Client]()
	for n := range methods.NumMethod() {
		m := methods.Method(n)
		secret := false
		for in := 1; in < m.Type.NumIn(); in++ {
			secret = secret || hasSecret(m.Type.In(in))
		}
		require.Equal(t, secret, takes[m.Name] != nil, "%s takes a secret: %t", m.Name, secret)
	}
	for op, call := range takes {
		server, client, log := logged(t)
		all := fmt.Sprintf("%s %s %s %s %s", pan, csc, token, header, domainKey)
		shown := ""
		for _, fault := range []batchsim.Fault{
			{Act: batchsim.Echo},
			{Act: batchsim.Answer,
				Reply: batchsim.JSON(422, fmt.Sprintf(`{"code":"P045","message":%q,"context":%q,"identifier":%q}`,
					all, all, all))},
			{Act: batchsim.Answer, Reply: batchsim.JSON(200, fmt.Sprintf(`{%q:1,%q:2}`, all, all))},
			{Act: batchsim.Answer, Reply: batchsim.JSON(200, all)},
			{Act: batchsim.Answer, Reply: batchsim.JSON(500, all)},
		} {
			fault.Op, fault.Phase, fault.Nth = op, batchsim.BeforeApply, 1
			server.Inject(fault)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			request, err := call(ctx, client)
			cancel()
			text, failed := json.Marshal([]any{request, err})
			require.NoError(t, failed)
			shown += fmt.Sprintf("%v %+v %#v %s %v %+v %#v\n", request, request, request, text, err, err, err)
			server.Heal()
		}
		shown += log.String()
		for _, secret := range []string{pan, token, header, domainKey} {
			if op == "RegisterCard" && secret == pan || op == "Charge" && secret == token || op == "CreateChannel" &&
				secret == header || op == "CheckDomainKey" && secret == domainKey {
				require.NotContains(t, shown, secret, op)
			}
		}
		if op == "Charge" {
			require.NotContains(t, strings.ReplaceAll(shown, "duration=", ""), " "+csc+" ", op)
		}
	}
}

// hasSecret reports whether a type holds a Secret anywhere.
func hasSecret(v reflect.Type) bool {
	switch {
	case v == reflect.TypeFor[citypay.Secret]():
		return true
	case v.Kind() == reflect.Struct && v != reflect.TypeFor[time.Time]():
		for n := range v.NumField() {
			if hasSecret(v.Field(n).Type) {
				return true
			}
		}
	case v.Kind() == reflect.Map || v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer:
		return hasSecret(v.Elem())
	}
	return false
}

// A list in a reply holds at most twice as many rows as a batch can have, so that
// many tiny rows do not fill the memory.
func TestTheRowsOfAReplyAreLimited(t *testing.T) {
	for op, c := range map[string]struct {
		begin, end string
		call       func(*citypay.Client) error
	}{
		"RetrieveBatch": {`{"batch_id":35,"batch_status":"COMPLETE","transactions":[`, `]}`,
			func(c *citypay.Client) error {
				return second(c.RetrieveBatch(t.Context(), citypay.BatchReportRequest{BatchID: 35}))
			}},
		"BatchStatus": {`{"batches":[`, `]}`, func(c *citypay.Client) error {
			return second(c.BatchStatus(t.Context(), citypay.CheckBatchStatus{BatchIDs: []int64{35}}))
		}},
		"ListMerchants": {`{"clientid":"PC600001","merchants":[`, `]}`, func(c *citypay.Client) error {
			return second(c.ListMerchants(t.Context(), "PC600001"))
		}},
	} {
		for rows, refused := range map[int]bool{20_000: false, 20_001: true} {
			body := c.begin + strings.Repeat("{},", rows-1) + "{}" + c.end
			client, err := citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB",
				BaseURL: "https://service.test", Middleware: func(http.RoundTripper) http.RoundTripper {
					return answering(func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)),
							Header: http.Header{"Content-Type": {"application/json"}}}, nil
					})
				}})
			require.NoError(t, err)
			err = c.call(client)
			if refused {
				require.ErrorIs(t, err, batch.ErrProtocol, op)
				require.ErrorContains(t, err, "the list has more than 20000 elements", op)
			} else if err != nil {
				require.NotContains(t, err.Error(), "elements", op)
			}
		}
	}
}
