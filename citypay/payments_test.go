package citypay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

const sampleID = "95b857a1-5955-4b86-963c-5a6dbfc4fb95"

func sampleCharge() citypay.ChargeRequest {
	return citypay.ChargeRequest{Amount: 7801, Identifier: sampleID, MerchantID: 11223344, Currency: "GBP",
		Initiation: "M", CardholderAgreement: "R",
		DuplicatePolicy: citypay.PolicyEnforce, CSCPolicy: citypay.PolicyIgnore, TransInfo: "batch top-up",
		Token: citypay.NewSecret("ctPCAPyNyCkx3Ry8wGyv8khC3ch2hUSB3Db..Qzr")}
}

// The documented requests are sent, and the documented replies are understood.
func TestPaymentSamples(t *testing.T) {
	all := samples(t)
	refund := citypay.RefundRequest{Amount: 19995, Identifier: "c0a9e6b2-0f5d-4d53-9a3b-2f1f6f7f5a10",
		MerchantID: 11223344, RefundRef: 8322}
	for _, c := range []struct {
		op, request, response string
		kind                  batch.Kind
		code                  string
	}{
		{"Charge", "charge.request", "charge.response", "", ""},
		{"Charge", "charge.request", "charge_challenged.response", batch.ErrAmbiguous, ""},
		{"Charge", "charge.request", "charge_duplicate.response", batch.ErrAmbiguous, "T001"},
		{"Charge", "charge.request", "charge_rejected.response", batch.ErrAuth, "P030"},
		{"Charge", "charge.request", "charge_uncertain.response", batch.ErrAmbiguous, "F006"},
		{"Refund", "refund.request", "refund.response", "", ""},
		{"Refund", "refund.request", "refund_rejected.response", batch.ErrAmbiguous, "R005"},
		{"Void", "void.request", "void.response", "", ""},
		{"Void", "void.request", "void_already_voided.response", batch.ErrAmbiguous, "071"},
		{"Capture", "capture.request", "capture.response", "", ""},
		{"Capture", "capture.request", "capture_already_completed.response", batch.ErrAmbiguous, "T011"},
	} {
		t.Run(c.response, func(t *testing.T) {
			server, client := startClient(t, nil)
			server.Inject(batchsim.Fault{Op: c.op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, string(all[c.response].Body))})
			var got any
			var err error
			switch c.op {
			case "Charge":
				got, err = client.Charge(t.Context(), sampleCharge())
			case "Refund":
				got, err = client.Refund(t.Context(), refund)
			case "Void":
				got, err = client.Void(t.Context(), citypay.VoidRequest{MerchantID: 11223344, TransNo: 78416})
			case "Capture":
				got, err = client.Capture(t.Context(), citypay.CaptureRequest{Amount: 19995, MerchantID: 11223344,
					TransNo: 78416})
			}
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			if err != nil {
				var e *batch.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.code, e.Code)
			}
			sent := server.Log.Requests(c.op)
			require.Len(t, sent, 1)
			require.Equal(t, all[c.request].Path, sent[0].Path)
			require.Empty(t, cmp.Diff(withoutEmpty(t, all[c.request].Body), withoutEmpty(t, sent[0].Body)))
			if err == nil || c.op == "Charge" || c.op == "Refund" { // The reply comes beside the error.
				text, err := json.Marshal(got)
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(withoutEmpty(t, all[c.response].Body), withoutEmpty(t, text)))
			}
		})
	}
}

// withoutEmpty is JSON without the fields that say nothing, with numbers and
// booleans as text.
func withoutEmpty(t *testing.T, text []byte) any {
	t.Helper()
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if v[key] = strip(inner); v[key] == "" || v[key] == "false" || v[key] == "0" && key != "result" {
					delete(v, key)
				}
			}
		case json.Number, bool:
			return fmt.Sprint(v)
		}
		return v
	}
	return strip(canonical(t, text))
}

// What CityPay could not accept is refused here, all of it at once, and nothing
// is sent.
func TestBadPayments(t *testing.T) {
	server, client := startClient(t, nil)
	long := strings.Repeat("x", 51)
	_, err := client.Charge(t.Context(), citypay.ChargeRequest{CSC: citypay.NewSecret("12"), Currency: "gbp",
		Initiation: "m", CardholderAgreement: "Q",
		AVSPostcodePolicy: "4", CSCPolicy: "x", DuplicatePolicy: "01", MatchAVSA: "-", PreAuth: "true",
		TransInfo: long})
	all := []string{"amount: must be 1 to 999999999", "identifier: must be 5 to 50 printable ASCII characters",
		"merchantid: must be 1 to 2147483647",
		"trans_info: must have at most 50 characters"}
	require.Equal(t, append(all, "token: must be the token of a card: printable ASCII without spaces",
		"csc: must be 3 or 4 digits",
		"currency: must be 3 capital letters", "initiation: must be M or C",
		"cardholder_agreement: must be one of I R A C D L S X N",
		"avs_postcode_policy: must be 0, 1, 2 or 3", "csc_policy: must be 0, 1, 2 or 3",
		"duplicate_policy: must be 0, 1, 2 or 3",
		"match_avsa: must be 0, 1, 2 or 3", "pre_auth: must be 0, 1, 2 or 3"), faultsOf(t, err))
	r := sampleCharge()
	r.CardholderAgreement, r.Token = "", citypay.NewSecret("a token\n")
	_, err = client.Charge(t.Context(), r)
	require.Equal(t, []string{"token: must be the token of a card: printable ASCII without spaces",
		"cardholder_agreement: is needed with initiation M"}, faultsOf(t, err))
	_, err = client.Refund(t.Context(), citypay.RefundRequest{Amount: 1_000_000_000, Identifier: "abcd",
		MerchantID: 1 << 31, RefundRef: -1, TransInfo: long})
	require.Equal(t, append(all, "refund_ref: must be 1 to 2147483647"), faultsOf(t, err))
	_, err = client.Void(t.Context(), citypay.VoidRequest{})
	require.Equal(t, []string{"merchantid: must be 1 to 2147483647", "transno: must be 1 to 2147483647"},
		faultsOf(t, err))
	_, err = client.Capture(t.Context(), citypay.CaptureRequest{Amount: -1, TransNo: 1 << 31})
	require.Equal(t, []string{"merchantid: must be 1 to 2147483647", "transno: must be 1 to 2147483647",
		"amount: must be 1 to 999999999"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))
}

// A scene is a simulator with one sale of 7801, one amount that is reserved, and
// the token of a card.
type scene struct {
	*citypaytest.Server
	client         *citypay.Client
	sale, reserved int64
	token          citypay.Secret
}

func newScene(t *testing.T, o citypaytest.Options, config func(*citypay.Config)) *scene {
	t.Helper()
	server := citypaytest.New(&o)
	c := server.Config()
	if config != nil {
		config(&c)
	}
	client, err := citypay.New(c)
	require.NoError(t, err)
	s := &scene{Server: server, client: client}
	s.token = s.newToken(t)
	charge := func(id string, preAuth citypay.Policy) int64 {
		got, err := client.Charge(t.Context(), citypay.ChargeRequest{Amount: 7801, Identifier: id, MerchantID: 11223344,
			Token: s.token, PreAuth: preAuth})
		require.NoError(t, err)
		return got.AuthResponse.TransNo
	}
	s.sale, s.reserved = charge("the-sale", ""), charge("the-reserved", citypay.PolicyEnforce)
	return s
}

func (s *scene) newToken(t *testing.T) citypay.Secret {
	t.Helper()
	account, err := s.client.RetrieveAccount(t.Context(), "account-1")
	require.NoError(t, err)
	return account.Cards[0].Token
}

func (s *scene) close() { s.client.CloseIdleConnections(); s.Close() }

// look is the look-up of one transaction.
func (s *scene) look(t *testing.T, id string, number int64) *citypay.AuthReference {
	t.Helper()
	got, err := s.client.RetrieveTransactions(t.Context(), citypay.RetrieveRequest{MerchantID: 11223344, Identifier: id,
		TransNo: number})
	require.NoError(t, err)
	if len(got.Auths) == 0 {
		return nil
	}
	require.Len(t, got.Auths, 1, "one transaction has this identifier")
	return &got.Auths[0]
}

// Each payment, and how to find out what became of it.
var payments = map[string]struct {
	pay  func(*testing.T, *scene) error
	done func(*testing.T, *scene) bool // by the look-up that the documentation names
	item string                        // in the ledger
}{
	"Charge": {func(t *testing.T, s *scene) error {
		_, err := s.client.Charge(t.Context(), citypay.ChargeRequest{Amount: 1395, Identifier: "a-charge",
			MerchantID: 11223344, Token: s.token})
		return err
	}, func(t *testing.T, s *scene) bool {
		found := s.look(t, "a-charge", 0)
		return found != nil && found.Type == "sale" && found.TransStatus == citypay.TransOpen &&
			found.AmountValue == 1395
	}, "a-charge"},
	"Refund": {func(t *testing.T, s *scene) error {
		_, err := s.client.Refund(t.Context(), citypay.RefundRequest{Amount: 7801, Identifier: "a-refund",
			MerchantID: 11223344, RefundRef: s.sale})
		return err
	}, func(t *testing.T, s *scene) bool {
		found := s.look(t, "a-refund", 0)
		return found != nil && found.Type == "refund" && found.TransStatus == citypay.TransOpen &&
			found.AmountValue == 7801
	}, "a-refund"},
	"Void": {func(t *testing.T, s *scene) error {
		_, err := s.client.Void(t.Context(), citypay.VoidRequest{MerchantID: 11223344, TransNo: s.sale})
		return err
	}, func(t *testing.T, s *scene) bool {
		return s.look(t, "", s.sale).TransStatus == citypay.TransCancelled
	}, "void of 1"},
	"Capture": {func(t *testing.T, s *scene) error {
		_, err := s.client.Capture(t.Context(), citypay.CaptureRequest{MerchantID: 11223344, TransNo: s.reserved})
		return err
	}, func(t *testing.T, s *scene) bool { return s.look(t, "", s.reserved).TransStatus == citypay.TransOpen },
		"capture of 2"},
}

// onceFaults are what every operation that is sent once is tried with.
var onceFaults = []batchsim.Scenario{"", batchsim.Refused, batchsim.Unauthorized, batchsim.LostBefore,
	batchsim.LostAfter, batchsim.ErrorBefore, batchsim.ErrorAfter,
	batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.Redirected, batchsim.Unavailable,
	batchsim.SilentBefore, batchsim.SilentAfter}

// A payment is sent once under every fault that Submit is tested with, what is
// said of it is true, and the look-up tells what became of it.
func TestAPaymentIsSentOnce(t *testing.T) {
	for op, p := range payments {
		for _, fault := range append(onceFaults, batchsim.LateAfter) {
			t.Run(op+" "+string(fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t, citypaytest.Options{InMemory: true}, nil)
					defer s.close()
					before := s.Log.Count(op)
					if fault != "" {
						s.Kit.Break(op, fault, batchsim.JSON(422, `{"code":"P045"}`),
							batchsim.JSON(422, `{"code":"S008"}`))
					}
					err := p.pay(t, s)
					want := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}
					if kind, sure := want[fault]; sure {
						require.Equal(t, kind, batch.KindOf(err), "%v", err)
					} else {
						require.ErrorIs(t, err, batch.ErrAmbiguous)
					}
					time.Sleep(2 * time.Hour) // of the bubble: what is late arrives
					s.Clock.Advance(0)
					require.LessOrEqual(t, s.Log.Count(op)-before, 1)
					times := s.Ledger.Moved()[p.item]
					require.LessOrEqual(t, times, 1)
					require.Equal(t, times == 1, p.done(t, s), "the look-up tells what became of it")
					if err == nil {
						require.Equal(t, 1, times)
					} else if batch.KindOf(err) != batch.ErrAmbiguous {
						require.Zero(t, times, "%v", err)
					}
				})
			})
		}
	}
}

// A context that ends leaves doubt, unless nothing was sent.
func TestAPaymentWhoseContextEnds(t *testing.T) {
	for op, p := range payments {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, citypaytest.Options{InMemory: true}, nil)
			defer s.close()
			before := s.Log.Count("")
			s.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Hang})
			started := time.Now()
			require.ErrorIs(t, p.pay(t, s), batch.ErrAmbiguous)
			require.GreaterOrEqual(t, time.Since(started), 2*time.Minute, "CityPay asks for time-outs of 120 seconds")
			require.Equal(t, before+1, s.Log.Count(""))
		})
	}
}

// A second delivery of the request by a proxy moves nothing more, and its answer
// is not taken for a refusal.
func TestASecondDeliveryIsNotARefusal(t *testing.T) {
	for op, p := range payments {
		for _, byError := range []bool{false, true} {
			t.Run(fmt.Sprint(op, byError), func(t *testing.T) {
				s := newScene(t, citypaytest.Options{RefuseByError: byError}, nil)
				defer s.close()
				s.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Twice})
				err := p.pay(t, s)
				if op == "Charge" { // CityPay checks for an equal one only if the caller asks.
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.ErrorContains(t, err, map[string]string{"Refund": "R003", "Void": "071", "Capture": "T011"}[op])
				require.Equal(t, 1, s.Ledger.Moved()[p.item])
				require.True(t, p.done(t, s))
			})
		}
	}
}

// What each answer to a payment means, whatever its status.
func TestAnswersToPayments(t *testing.T) {
	html := func(status int) batchsim.Reply {
		return batchsim.Reply{Status: status, Header: map[string][]string{"Content-Type": {"text/html"}},
			Body: []byte("<html>no</html>")}
	}
	unclear := map[string]batchsim.Reply{"a firewall's 400": html(400), "a firewall's 403": html(403),
		"a login page": html(200), "an empty 401": {Status: 401},
		"an empty 403": {Status: 403}, "404": {Status: 404}, "409": {Status: 409}, "429": {Status: 429},
		"503": {Status: 503}, "no content": {Status: 204},
		"400 in CityPay's words": batchsim.JSON(400, `{"code":"P005"}`), "403 in CityPay's words": batchsim.JSON(403,
			`{"code":"S008"}`),
		"500 in CityPay's words": batchsim.JSON(500, `{"code":"P005"}`),
		"422 by a proxy":         batchsim.JSON(422, `{"error":"upstream timeout"}`),
		"422 wrapped":            batchsim.JSON(422, `{"Error":{"code":"P005"}}`),
		"F006":                   batchsim.JSON(422, `{"code":"F006"}`), "T001": batchsim.JSON(422, `{"code":"T001"}`),
		"072": batchsim.JSON(422, `{"code":"072"}`), "R003": batchsim.JSON(422, `{"code":"R003"}`),
		"R005": batchsim.JSON(422, `{"code":"R005"}`),
		"071":  batchsim.JSON(422, `{"code":"071"}`), "T009": batchsim.JSON(422, `{"code":"T009"}`),
		"T011": batchsim.JSON(422, `{"code":"T011"}`),
		"D101": batchsim.JSON(422, `{"code":"D101"}`), "B001": batchsim.JSON(422, `{"code":"B001"}`),
		"B008":             batchsim.JSON(422, `{"code":"B008"}`),
		"000, and refused": batchsim.JSON(422, `{"code":"000"}`), "050": batchsim.JSON(422, `{"code":"050"}`),
		"a code of its own": batchsim.JSON(422, `{"code":"X001"}`),
		"an empty body":     batchsim.JSON(200, ""), "null": batchsim.JSON(200, "null"),
		"a list": batchsim.JSON(200, "[]"), "an object": batchsim.JSON(200, "{}"),
		"a code of null": batchsim.JSON(200, `{"code":null}`), "cut off": batchsim.JSON(200, `{"code":"003"`),
		"two":                        batchsim.JSON(200, `{"code":"003"}{}`),
		"a key twice":                batchsim.JSON(200, `{"code":"090","code":"003"}`),
		"wrapped":                    batchsim.JSON(200, `{"Acknowledgement":{"code":"003"}}`),
		"F001 as an acknowledgement": batchsim.JSON(200, `{"code":"F001"}`),
		"D101 as an acknowledgement": batchsim.JSON(200, `{"code":"D101"}`)}
	refused := map[string]batch.Kind{"P005": batch.ErrInvalid, "C006": batch.ErrInvalid, "S008": batch.ErrAuth,
		"Z002": batch.ErrAuth}
	own := map[string]map[string]batch.Kind{
		"Charge": {"P051": batch.ErrInvalid, "R001": batch.ErrAmbiguous, "D022": batch.ErrInvalid},
		"Refund": {"R001": batch.ErrNotFound, "D022": batch.ErrNotFound, "R006": batch.ErrInvalid,
			"R007": batch.ErrInvalid, "R008": batch.ErrInvalid,
			"R009": batch.ErrInvalid, "R010": batch.ErrInvalid, "R011": batch.ErrInvalid, "092": batch.ErrInvalid,
			"R002": batch.ErrAmbiguous,
			"R004": batch.ErrAmbiguous, "093": batch.ErrAmbiguous},
		"Void": {"D022": batch.ErrNotFound, "093": batch.ErrInvalid, "P024": batch.ErrAmbiguous,
			"P025": batch.ErrAmbiguous, "T004": batch.ErrAmbiguous, "T010": batch.ErrAmbiguous,
			"000": batch.ErrAmbiguous, "001": batch.ErrAmbiguous},
		"Capture": {"D022": batch.ErrNotFound, "T007": batch.ErrInvalid, "T008": batch.ErrInvalid,
			"T003": batch.ErrAmbiguous, "T012": batch.ErrAmbiguous, "003": batch.ErrAmbiguous},
	}
	for op, p := range payments {
		s := newScene(t, citypaytest.Options{}, nil)
		t.Cleanup(s.close)
		answer := func(reply batchsim.Reply) error {
			s.Heal()
			s.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer, Reply: reply})
			before := s.Log.Count(op)
			err := p.pay(t, s)
			require.Equal(t, before+1, s.Log.Count(op))
			return err
		}
		for name, reply := range unclear {
			if op == "Void" && name == "cut off" {
				name += ", of a success"
			}
			require.ErrorIs(t, answer(reply), batch.ErrAmbiguous, "%s %s", op, name)
		}
		for _, codes := range []map[string]batch.Kind{refused, own[op]} {
			for code, kind := range codes {
				require.Equal(t, kind,
					batch.KindOf(answer(batchsim.JSON(422, fmt.Sprintf(`{"code":%q,"message":"m"}`, code)))),
					"%s 422 %s", op, code)
				if op == "Void" || op == "Capture" {
					require.Equal(t, kind,
						batch.KindOf(answer(batchsim.JSON(200, fmt.Sprintf(`{"code":%q,"message":"m"}`, code)))),
						"%s 200 %s", op, code)
				}
			}
		}
	}
}

// The parts of an AuthResponse must agree with each other and with the request.
func TestWhatAnAuthResponseProves(t *testing.T) {
	const body = `{"amount":%AMOUNT%,"authcode":"A12345","authorised":true,"context":"ctx","identifier":"%ID%","merchantid":11223344,"result":1,` +
		`"result_code":"%CODE%","result_message":"m","sha256":"","trans_status":"O","transno":78416}`
	decline := []string{`"result":1`, `"result":0`, `"authorised":true`, `"authorised":false`, `"O"`, `"D"`}
	for op, c := range map[string]struct {
		code, id, amount string
	}{"Charge": {"001", "a-charge", "1395"}, "Refund": {"002", "a-refund", "7801"}} {
		s := newScene(t, citypaytest.Options{}, nil)
		t.Cleanup(s.close)
		answer := func(pairs ...string) error {
			text := strings.NewReplacer("%AMOUNT%", c.amount, "%ID%", c.id, "%CODE%", c.code).Replace(body)
			for n := 0; n < len(pairs); n += 2 {
				require.Contains(t, text, pairs[n])
				text = strings.Replace(text, pairs[n], pairs[n+1], 1)
			}
			if op == "Charge" {
				text = `{"AuthResponse":` + text + `}`
			}
			s.Heal()
			s.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, text)})
			return payments[op].pay(t, s)
		}
		code := fmt.Sprintf(`"result_code":%q`, c.code)
		for _, good := range [][]string{nil, {`"amount":` + c.amount + `,`, ``},
			{`"amount":` + c.amount, fmt.Sprintf(`"amount":"%s"`, c.amount)}, {`"transno":78416`, `"x":1`},
			{`"O"`, `"A"`}, {`"O"`, `""`}, {`"result_message":"m"`, `"result_message":{"a":1}`},
			{fmt.Sprintf(`"identifier":%q,`, c.id), ``}, {`"result":1`, `"result":"1"`}} {
			require.NoError(t, answer(good...), "%s %v", op, good)
		}
		for _, doubt := range [][]string{{`"amount":` + c.amount, `"amount":1`},
			{`"amount":` + c.amount, `"amount":13.5`}, {c.id, "another"},
			{fmt.Sprintf(`"identifier":%q`, c.id), `"identifier":7`},
			{`11223344`, `1`}, {`"merchantid":11223344,`, ``}, {`"authorised":true`, `"authorised":false`},
			{`"O"`, `"D"`}, {`"O"`, `"."`}, {`78416`, `-1`}, {`78416`, `"x"`},
			{`"result":1`, `"result":20`}, {`"result":1`, `"result":7`}, {`"result":1`, `"result":21`},
			{`"result":1`, `"result":null`}, {`"result":1`, `"result":0`}, {`"result":1,`, ``},
			{code, `"result_code":"090"`}, {code, `"result_code":"F006"`}, {code, `"result_code":""`},
			{code, `"result_code":1`}, {code, `"result_code":"012"`},
			{`"sha256":""`, `"sha256":"AAAA"`},
			append([]string{code, `"result_code":"090"`, `"sha256":""`, `"sha256":"AAAA"`}, decline...),
			append([]string{code, `"result_code":"T001"`}, decline...), append([]string{code, `"result_code":"D101"`},
				decline...), append([]string{code, `"result_code":"B001"`}, decline...),
			append([]string{code, `"result_code":"090"`, c.id, "another"}, decline...),
			append([]string{code, `"result_code":"090"`, `11223344`, `1`}, decline...),
			append([]string{code, `"result_code":"090"`, `"amount":` + c.amount, `"amount":1`}, decline...),
			append([]string{code, `"result_code":"090"`}, decline[2:]...),
			append([]string{`"result":1,`, ``, code, `"result_code":"090"`}, decline[2:]...),
			append([]string{`"result":1`, `"result":20`, code, `"result_code":"090"`}, decline[2:]...),
			append([]string{code, `"result_code":"090"`}, decline[:4]...), append([]string{code, `"result_code":"090"`},
				append(decline[:2:2], decline[4:]...)...)} {
			require.ErrorIs(t, answer(doubt...), batch.ErrAmbiguous, "%s %v", op, doubt)
		}
		for _, no := range [][]string{append([]string{code, `"result_code":"090"`}, decline...),
			append([]string{code, `"result_code":"065"`, `78416`, `-1`}, decline...),
			append([]string{code, `"result_code":"P015"`, c.id, "", `11223344`, `0`, `"amount":` + c.amount,
				`"amount":0`}, decline...)} {
			err := answer(no...)
			require.ErrorIs(t, err, batch.ErrInvalid, "%s %v", op, no)
		}
		require.ErrorIs(t, answer(append([]string{code, `"result_code":"S003"`}, decline...)...), batch.ErrAuth)
		if op == "Charge" {
			require.ErrorIs(t, answer(`"authorised":true,`, ``), batch.ErrAmbiguous)
			require.NoError(t, answer(`"O"`, `"P"`), "it is reserved")
			require.ErrorIs(t, answer(code, `"result_code":"002"`), batch.ErrAmbiguous)
		} else {
			require.NoError(t, answer(`"authorised":true,`, ``), "not documented for a refund")
			require.ErrorIs(t, answer(`"O"`, `"P"`), batch.ErrAmbiguous)
			require.ErrorIs(t, answer(code, `"result_code":"000"`), batch.ErrAmbiguous)
			require.ErrorIs(t, answer(append([]string{code, `"result_code":"R003"`}, decline...)...),
				batch.ErrAmbiguous)
			require.ErrorIs(t, answer(append([]string{code, `"result_code":"R010"`}, decline...)...), batch.ErrInvalid)
		}
		sum := sha256.Sum256([]byte("A12345" + c.amount + c.code + "11223344" + "78416" + c.id + s.Config().LicenceKey))
		require.NoError(t, answer(`"sha256":""`, fmt.Sprintf(`"sha256":%q`, base64.StdEncoding.EncodeToString(sum[:]))))
	}
}

// Both members of a Decision, or none, leave the charge open.
func TestADecisionIsOneOfTwo(t *testing.T) {
	all := samples(t)
	server, client := startClient(t, nil)
	auth, challenge := string(all["charge.response"].Body), string(all["charge_challenged.response"].Body)
	both := strings.TrimSuffix(strings.TrimSpace(auth), "}") + "," + strings.TrimPrefix(challenge, "{")
	bare := strings.TrimSuffix(strings.Replace(auth, `{
   "AuthResponse": `, "", 1), "}")
	for name, body := range map[string]string{"both": both, "bare": bare, "none": `{}`, "wrapped": `{"Decision":` +
		auth + `}`, "a list": `{"AuthResponse":[]}`} {
		server.Inject(batchsim.Fault{Op: "Charge", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, body)})
		got, err := client.Charge(t.Context(), sampleCharge())
		require.ErrorIs(t, err, batch.ErrAmbiguous, name)
		require.Equal(t, name == "both", got != nil)
	}
	server.Inject(batchsim.Fault{Op: "Charge", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, challenge)})
	got, err := client.Charge(t.Context(), sampleCharge())
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorContains(t, err, "the cardholder must authenticate: transaction 78416 is not finished")
	require.Equal(t, citypay.Text("https://acs.cardissuer.com/3dsv2"), got.RequestChallenged.ACSURL)
}

// The simulator's own answers, which the client understands.
func TestPaymentsOfTheSimulator(t *testing.T) {
	s := newScene(t, citypaytest.Options{RefundIsTest: true, KeyLifetime: time.Hour}, nil)
	defer s.close()
	refund := func(id string, amount int64) error {
		_, err := s.client.Refund(t.Context(), citypay.RefundRequest{Amount: amount, Identifier: id,
			MerchantID: 11223344, RefundRef: s.sale})
		return err
	}
	require.NoError(t, refund("part-1", 7000))
	require.ErrorContains(t, refund("part-2", 802), "R005")
	require.NoError(t, refund("part-2", 801))
	require.ErrorContains(t, refund("part-3", 1), "R003")
	require.Equal(t, "refund", s.look(t, "part-2", 0).Type)
	_, err := s.client.Refund(t.Context(), citypay.RefundRequest{Amount: 1, Identifier: "refund-1",
		MerchantID: 11223344, RefundRef: 99})
	require.ErrorIs(t, err, batch.ErrNotFound)
	_, err = s.client.Refund(t.Context(), citypay.RefundRequest{Amount: 1, Identifier: "refund-1", MerchantID: 11223344,
		RefundRef: s.reserved})
	require.ErrorIs(t, err, batch.ErrInvalid)
	_, err = s.client.Capture(t.Context(), citypay.CaptureRequest{Amount: 7000, MerchantID: 11223344,
		TransNo: s.reserved})
	require.NoError(t, err)
	require.Equal(t, int64(7000), s.look(t, "", s.reserved).AmountValue)
	s.Settle()
	_, err = s.client.Void(t.Context(), citypay.VoidRequest{MerchantID: 11223344, TransNo: s.sale})
	require.ErrorContains(t, err, "P024")
	_, err = s.client.Capture(t.Context(), citypay.CaptureRequest{MerchantID: 11223344, TransNo: s.sale})
	require.ErrorContains(t, err, "T003")
	charge := func(amount int64, csc string, policy citypay.Policy) (*citypay.Decision, error) {
		return s.client.Charge(t.Context(), citypay.ChargeRequest{Amount: amount, Identifier: "charge-1",
			MerchantID: 11223344, Token: s.token,
			CSC: citypay.NewSecret(csc), DuplicatePolicy: policy})
	}
	got, err := charge(3333, "", "")
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Equal(t, "090", got.AuthResponse.ResultCode, "the reply comes beside the error")
	_, err = charge(7801, "333", "")
	require.ErrorContains(t, err, "090")
	_, err = charge(6666, "", "")
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	_, err = charge(7801, "012", "")
	require.NoError(t, err)
	_, err = charge(7801, "", citypay.PolicyEnforce)
	require.ErrorContains(t, err, "T001")
	s.Clock.Advance(31 * time.Minute)
	_, err = charge(7801, "", "")
	require.ErrorContains(t, err, "P051")
}

// No error, log or print shows a token or a CSC, whatever CityPay echoes.
func TestAChargeShowsNoSecret(t *testing.T) {
	var log bytes.Buffer
	s := newScene(t, citypaytest.Options{}, func(c *citypay.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	defer s.close()
	const csc = "739"
	token := s.token.Reveal()
	encoded := base64.StdEncoding.EncodeToString([]byte(token))
	require.NotEmpty(t, token)
	r := citypay.ChargeRequest{Amount: 1395, Identifier: "a-charge", MerchantID: 11223344, Token: s.token,
		CSC: citypay.NewSecret(csc)}
	text, err := json.Marshal(r)
	require.NoError(t, err)
	shown := fmt.Sprintf("%s %v %+v %#v %v", text, r, r, r, &r)
	account, err := s.client.RetrieveAccount(t.Context(), "account-1")
	require.NoError(t, err)
	text, err = json.Marshal(account)
	require.NoError(t, err)
	shown += fmt.Sprintf("%s %v %+v %#v", text, account, *account, *account)
	require.NotContains(t, shown, account.Cards[0].Token.Reveal())
	for _, reply := range []batchsim.Reply{
		batchsim.JSON(422, fmt.Sprintf(`{"code":"P045","message":"bad token %s or csc %s","context":"%s"}`,
			token, csc, csc)),
		batchsim.JSON(200,
			fmt.Sprintf(
				`{"AuthResponse":{"result":0,"result_code":"090","merchantid":11223344,"result_message":"csc %s token %s","context":"%s"}}`, csc, token, csc)),
		batchsim.JSON(200, fmt.Sprintf(`{"AuthResponse":{"result":0,"result_code":"9%s","merchantid":11223344}}`, csc)),
		batchsim.JSON(422, fmt.Sprintf(`{"code":"P045","message":"%s"}`, encoded)),
		batchsim.JSON(200, fmt.Sprintf(`{"RequestChallenged":{"transno":"%s %s"}}`, csc, token)),
		batchsim.JSON(200, fmt.Sprintf(`{"%s":1,"%s":2} %s`, csc, csc, token)),
		{Status: 307, Header: map[string][]string{"Location": {"https://" + csc + "." + token + ".test/"}}},
	} {
		s.Inject(batchsim.Fault{Op: "Charge", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer, Reply: reply})
		_, err := s.client.Charge(t.Context(), r)
		require.Error(t, err)
		shown += fmt.Sprintf("%v %+v %#v\n", err, err, err)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		shown += string(text)
	}
	s.Inject(batchsim.Fault{Op: "Charge", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Echo})
	_, err = s.client.Charge(t.Context(), r)
	// They hold any digits.
	shown += err.Error() + regexp.MustCompile(`(time|duration)=\S+`).ReplaceAllString(log.String(), "")
	require.NotContains(t, shown, token)
	require.NotContains(t, shown, encoded)
	require.NotRegexp(t, `(^|[^0-9])`+csc+`([^0-9]|$)`, shown)
	require.NotEmpty(t, log.String())
}
