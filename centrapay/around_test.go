package centrapay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// cafe is the business of the documented sample.
func cafe() centrapay.Onboarding {
	at := centrapay.Location{Street: "123 Example Street", Suburb: "Newtown", City: "Wellington", State: "Wellington",
		PostCode: "6021", Country: "NZ"}
	o := centrapay.Onboarding{ExternalID: "ext-cafe-001", LegalName: "Example Cafe Limited",
		TradingName: "Example Cafe",
		Location: &centrapay.Location{Street: "1 Head Office Way", City: "Wellington", State: "Wellington",
			PostCode: "6011", Country: "NZ"},
		ContactEmail: "admin@cafe.example", ContactName: "Alice Example",
		TaxNumber: &centrapay.TaxNumber{Value: "123-456-789", Type: "nz-gst"},
		Merchant: centrapay.OnboardMerchant{Name: "Example Cafe", CategoryCode: "5812", Type: "physical",
			ContactName:  "Bob Example",
			ContactEmail: "manager@cafe.example", ContactPhone: "6491234567", Location: &at},
		AssetProgram: centrapay.AssetProgram{ID: "YGRo6TYYSxH3js7"},
		Metadata:     map[string]string{"referenceId": "ref-12345"}}
	o.AssetProgram.Params.SettlementAccountNumber, o.AssetProgram.Params.ChargeAccountNumber = "12-3456-7890123-00",
		"12-3456-7890123-01"
	o.AssetProgram.Params.ExternalMerchantID = "ext-merchant-789"
	var channel centrapay.SalesChannel
	channel.Params.Vendor, channel.Params.Reseller, channel.Params.DeviceID = "Example Vendor",
		"Example Reseller", "device-001"
	channel.Params.SerialNumber, channel.Params.DeviceModel = "SN123456", "Example Model X1"
	o.Channels = []centrapay.SalesChannel{channel}
	return o
}

func body(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var s struct{ Body json.RawMessage }
	require.NoError(t, json.Unmarshal(text, &s))
	return s.Body
}

func startClient(t *testing.T, o *centrapaytest.Options) (*centrapaytest.Server, *centrapay.Client) {
	t.Helper()
	server := newServer(t, o)
	client, err := centrapay.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

// The documented requests are sent, and the documented replies are understood.
func TestAroundSamples(t *testing.T) {
	server, client := startClient(t, nil)
	answer := func(op, file string) {
		server.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, string(body(t, file)))})
	}
	same := func(want, got []byte) {
		t.Helper()
		var w, g any
		require.NoError(t, json.Unmarshal(want, &w))
		require.NoError(t, json.Unmarshal(got, &g))
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("(-sample +here):\n%s", diff)
		}
	}
	answer("OnboardBusiness", "businesses_onboard.response.json")
	made, err := client.OnboardBusiness(t.Context(), cafe())
	require.NoError(t, err)
	same(body(t, "businesses_onboard.request.json"), server.Log.Requests("OnboardBusiness")[0].Body)
	text, err := json.Marshal(made)
	require.NoError(t, err)
	same(body(t, "businesses_onboard.response.json"), text)

	answer("ListAssets", "assets_list_by_external_id.response.json")
	for asset, err := range client.ListAssets(t.Context(), "C4QnjXvj8At6SMsEN4LRi9",
		"b5fde0e0-357c-4fda-a90f-fd857f2be999") {
		require.NoError(t, err)
		require.Equal(t, centrapay.BigNumber("12000"), asset.AvailableBalance)
		require.Equal(t, centrapay.Text("farmlands.nzd.test"), asset.Type)
	}
	answer("ListAssets", "assets_list_page1.response.json")
	server.Inject(batchsim.Fault{Op: "ListAssets", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, string(body(t, "assets_list_page2.response.json")))})
	var ids []string
	for asset, err := range client.ListAssets(t.Context(), "C4QnjXvj8At6SMsEN4LRi9", "") {
		require.NoError(t, err)
		ids = append(ids, asset.ID)
	}
	require.Equal(t, []string{"WRhAxxWpTKb5U7pXyxQjjY", "Aj7rtHmd7rDeWoJgw9MPHe"}, ids)
	asked := server.Log.Requests("ListAssets")
	require.Equal(t, "externalId=b5fde0e0-357c-4fda-a90f-fd857f2be999", asked[0].Query)
	require.Equal(t, "pageKey=5ee0c486308f590260d9a07f%7Cded3f328-1123-11ec-bf1a-5ba46eb12a7d", asked[2].Query)

	answer("UploadMedia", "media_uploads_create.response.json")
	id, err := client.UploadMedia(t.Context(), centrapay.MediaUpload{Purpose: centrapay.PurposeBrandingLogo,
		FileName: "logo.PNG", File: []byte("x")})
	require.NoError(t, err)
	require.Equal(t, "DKTs3U38hdhfEqwF1JKoT2", id)
	answer("MediaLocation", "media_uploads_location.response.json")
	at, err := client.MediaLocation(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "https://media-upload.centrapay.com/businesses.csv?signature=EXAMPLE", string(at))
	require.NotContains(t, fmt.Sprintf("%v %+v %q", at, at, at), "EXAMPLE")
}

// What Centrapay could not accept is refused here, all of it at once, and
// nothing is sent.
func TestBadAround(t *testing.T) {
	server, client := startClient(t, nil)
	onboard := func(change func(*centrapay.Onboarding)) error {
		o := cafe()
		change(&o)
		_, err := client.OnboardBusiness(t.Context(), o)
		return err
	}
	upload := func(m centrapay.MediaUpload) error { return second(client.UploadMedia(t.Context(), m)) }
	long := strings.Repeat("x", 36)
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"nothing": {second(client.OnboardBusiness(t.Context(), centrapay.Onboarding{})), []string{
			"externalId: must have 1 to 35 characters; it has 0", "legalName: must have 3 to 100 characters; it has 0",
			"contactEmail: must be an e-mail address",
			"merchant.name: must have 2 to 100 characters; it has 0", "merchant.categoryCode: must be 4 digits",
			"merchant.type: must be physical or e-commerce",
			"assetProgram.assetProgramId: must have 1 to 35 characters; it has 0",
			"assetProgram.settlementAccountNumber: must be a bank account such as 12-3456-7890123-00",
			"assetProgram.externalMerchantId: must have 1 to 35 characters; it has 0"}},
		"optional fields": {onboard(func(o *centrapay.Onboarding) {
			o.ExternalID, o.NZBN, o.TradingName, o.ContactName, o.TaxNumber = long, "1", "x", "x",
				&centrapay.TaxNumber{Value: "1", Type: "x"}
			o.Merchant.ContactPhone, o.Merchant.ContactEmail, o.Merchant.Location = strings.Repeat("1", 21),
				"A <a@b.example>", nil
			o.AssetProgram.Params.ChargeAccountNumber = "12-3456-7890123-1"
			o.Location = &centrapay.Location{Suburb: strings.Repeat("x", 256), PostCode: "123", Country: "nz"}
			o.Channels[0].Params.Vendor, o.Channels[0].Params.DeviceID, o.Channels[0].Params.SerialNumber = "", long,
				"\n"
			o.Metadata = map[string]string{"": "", "k": strings.Repeat("v", 501)}
		}), []string{"externalId: must have 1 to 35 characters; it has 36", "nzbn: must be 13 digits",
			"tradingName: must have 3 to 100 characters; it has 1",
			"location.street: must have 1 to 255 characters; it has 0",
			"location.suburb: must have 1 to 255 characters; it has 256",
			"location.city: must have 1 to 255 characters; it has 0", "location.postCode: must be 4 to 10 digits",
			"location.country: must be two capital letters",
			"contactName: must have 3 to 100 characters; it has 1",
			"taxNumber.value: must be a number such as 123-456-789", "taxNumber.type: must be nz-gst",
			"merchant.location: is required if the merchant is physical",
			"merchant.contactEmail: must be an e-mail address",
			"merchant.contactPhone: must have 1 to 20 characters; it has 21",
			"assetProgram.chargeAccountNumber: must be a bank account such as 12-3456-7890123-00",
			"salesChannels[0].vendor: must have 3 to 100 characters; it has 0",
			"salesChannels[0].deviceId: must have 1 to 35 characters; it has 36",
			"salesChannels[0].serialNumber: holds a control character",
			"metadata: must have 1 to 100 characters; it has 0",
			"metadata.k: must have 1 to 500 characters; it has 501"}},
		"an upload": {upload(centrapay.MediaUpload{Purpose: "x"}), []string{
			`purpose: "x" is not business-onboarding or branding-logo`,
			"file: its name must be 1 to 100 letters, digits, spaces and . _ -",
			"file: must have 1 to 0 bytes; it has 0"}},
		"a JSONL file": {upload(centrapay.MediaUpload{Purpose: centrapay.PurposeBusinessOnboarding, FileName: "a.jsonl",
			File: make([]byte, 50_001)}), []string{
			"file: the extension of its name is not one that business-onboarding takes",
			"file: must have 1 to 50000 bytes; it has 50001"}},
		"a name with a quote": {upload(centrapay.MediaUpload{Purpose: centrapay.PurposeBusinessOnboarding,
			FileName: "a\"\r\n.csv", File: []byte("x")}), []string{
			"file: its name must be 1 to 100 letters, digits, spaces and . _ -"}},
	} {
		require.ErrorIs(t, c.err, batch.ErrInvalid, name)
		var e *batch.Error
		require.ErrorAs(t, c.err, &e)
		var got []string
		for _, fault := range e.Fields {
			got = append(got, fault.Error())
		}
		require.Equal(t, c.want, got, name)
	}
	require.Zero(t, server.Log.Count(""))
}

// Each call that is sent once has the same care as a create: only the
// documented words are a refusal, and the same business sent again is the look-up.
func TestOnceAround(t *testing.T) {
	for _, op := range []string{"OnboardBusiness", "UploadMedia"} {
		for _, fault := range []batchsim.Scenario{"", batchsim.Refused, batchsim.Unauthorized, batchsim.LostBefore,
			batchsim.LostAfter, batchsim.ErrorBefore, batchsim.ErrorAfter,
			batchsim.GarbledAfter, batchsim.TruncatedAfter, batchsim.EchoedAfter, batchsim.SilentAfter,
			batchsim.Redirected, batchsim.Unavailable} {
			t.Run(fmt.Sprint(op, " ", fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := centrapaytest.New(&centrapaytest.Options{InMemory: true})
					defer server.Close()
					client, err := centrapay.New(server.Config())
					require.NoError(t, err)
					defer client.CloseIdleConnections()
					word := map[string]string{"OnboardBusiness": "INVALID_ASSET_PROGRAM",
						"UploadMedia": "FILE_TOO_LARGE"}[op]
					if fault != "" {
						server.Kit.Break(op, fault,
							batchsim.JSON(403, `{"statusCode":403,"error":"Forbidden","message":"`+word+`"}`),
							batchsim.JSON(401,
								`{"statusCode":401,"error":"Unauthorized","message":"Missing authentication"}`))
					}
					call := func() error { return second(client.OnboardBusiness(t.Context(), cafe())) }
					if op == "UploadMedia" {
						call = func() error {
							return second(client.UploadMedia(t.Context(),
								centrapay.MediaUpload{Purpose: centrapay.PurposeBusinessOnboarding, FileName: "a.csv",
									File: []byte("x")}))
						}
					}
					err = call()
					kind, sure := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}[fault]
					if !sure {
						kind = batch.ErrAmbiguous
					}
					require.Equal(t, kind, batch.KindOf(err), "%v", err)
					require.Equal(t, 1, server.Log.Count(op), "it is sent once")
					require.NoError(t, call(), "the same again")
					if op == "OnboardBusiness" {
						require.Equal(t, 1, server.Onboarded(), "is one business")
					}
				})
			})
		}
	}
}

func TestOnboardingOfTheSimulator(t *testing.T) {
	server, client := startClient(t, nil)
	made, err := client.OnboardBusiness(t.Context(), cafe())
	require.NoError(t, err)
	other := cafe()
	other.TradingName = "Another"
	require.ErrorIs(t, second(client.OnboardBusiness(t.Context(), other)), batch.ErrConflict)
	for change, word := range map[string]string{"program": "INVALID_ASSET_PROGRAM", "vendor": "INVALID_SALES_CHANNEL"} {
		o := cafe()
		if o.ExternalID = change; change == "program" {
			o.AssetProgram.ID = "unknown"
		} else {
			o.Channels[0].Params.Vendor = "unknown"
		}
		_, err := client.OnboardBusiness(t.Context(), o)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, batch.ErrInvalid, e.Kind)
		require.Equal(t, word, e.Code)
	}
	got, err := client.GetOnboarding(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, made, got)

	// The words of an onboarding refuse no create.
	server.Inject(batchsim.Fault{Op: "CreateBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(403, string(body(t, "error_403_duplicate_external_id.json")))})
	_, err = client.CreateBatch(t.Context(), centrapay.BatchRequest{Type: "t", URL: "https://x.test/y", AccountID: "A"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)

	for name, text := range map[string]string{
		"another id":                 `{"id":"bo_1","externalId":"x","assetProgram":{"params":{"settlementAccountNumber":"12-3456-7890123-00"}}}`,
		"another settlement account": `{"id":"bo_1","externalId":"ext-cafe-001","assetProgram":{"params":{"settlementAccountNumber":"12-3456-7890123-99"}}}`,
	} {
		server.Heal()
		server.Inject(batchsim.Fault{Op: "OnboardBusiness", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, text)})
		made, err := client.OnboardBusiness(t.Context(), cafe())
		require.ErrorIs(t, err, batch.ErrAmbiguous, name)
		require.Equal(t, "bo_1", made.ID, "it is beside the error")
	}
}

// A list of assets for one external id that has more is not believed.
func TestListAssets(t *testing.T) {
	for _, ignores := range []bool{false, true} {
		server, client := startClient(t, &centrapaytest.Options{IgnoresFilters: ignores})
		p := newProvider(t, server.Config(), server.ProviderConfig())
		b, err := p.Create(t.Context(), newDraft(5))
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		server.FinishAll()
		list := func(id string) (found int, failed error) {
			// A list without an end would go on for hours.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			for asset, err := range client.ListAssets(ctx, server.ProviderConfig().AccountID, id) {
				if err != nil {
					return found, err
				}
				require.NotEmpty(t, asset.ID)
				found++
			}
			return found, nil
		}
		all, err := list("")
		require.NoError(t, err)
		require.Equal(t, 5, all, "from three pages")
		one, err := list(b.Draft.Items[2].Reference)
		require.Equal(t, 1, one)
		require.Equal(t, ignores, errors.Is(err, batch.ErrProtocol), "%v", err)
		server.Inject(batchsim.Fault{Op: "ListAssets", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, `{"items":[],"nextPageKey":"k"}`)})
		before := server.Log.Count("ListAssets")
		_, err = list("")
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, "no end")
		require.Equal(t, before+2, server.Log.Count("ListAssets"), "a key that comes again ends the list")
	}
}

// A user's token is asked for before every request, and is in no error.
func TestUserToken(t *testing.T) {
	server := newServer(t, nil)
	config := server.Config()
	config.APIKey, config.UserAccount = "", server.ProviderConfig().AccountID
	var token string
	config.UserToken = func(context.Context) (string, error) { return token, nil }
	client, err := centrapay.New(config)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	for range 2 { // The service renews it.
		token = server.UserToken()
		_, err = client.GetAccount(t.Context(), config.UserAccount)
		require.NoError(t, err)
		sent := server.Log.Requests("GetAccount")
		require.Equal(t, token, sent[len(sent)-1].Header.Get("Authorization"))
		require.Equal(t, config.UserAccount, sent[len(sent)-1].Header.Get("X-Centrapay-Account"))
		require.Empty(t, sent[len(sent)-1].Header.Get("X-Api-Key"))
	}
	old := token
	server.UserToken()
	require.ErrorIs(t, second(client.GetAccount(t.Context(), config.UserAccount)), batch.ErrAuth)
	server.Inject(batchsim.Fault{Op: "CreateBatch", Phase: batchsim.AfterApply, Act: batchsim.Echo})
	_, err = client.CreateBatch(t.Context(), centrapay.BatchRequest{Type: "t", URL: "https://x.test/y", AccountID: "A"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.NotContains(t, err.Error(), old)
	server.Inject(batchsim.Fault{Op: "GetAccount", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(400, `{"statusCode":400,"message":"`+config.UserAccount+` is not the account of `+old+
			`"}`)})
	_, err = client.GetAccount(t.Context(), config.UserAccount)
	require.ErrorContains(t, err, config.UserAccount+" is not the account of [redacted]", "an account is not a secret")
	before := server.Log.Count("")
	for _, bad := range []string{"", "a b", "a\r\nX: y"} {
		token = bad
		_, err = client.CreateBatch(t.Context(), centrapay.BatchRequest{Type: "t", URL: "https://x.test/y",
			AccountID: "A"})
		require.ErrorIs(t, err, batch.ErrAuth)
	}
	require.Equal(t, before, server.Log.Count(""), "nothing was sent")
	require.NotContains(t, fmt.Sprintf("%v %+v", config, config), old)
}

// An error of a ticket names its barcode, and one of a terminal its id: the
// item is found by that. Where two items share it, only the index decides.
func TestErrorsOfTicketsAndTerminals(t *testing.T) {
	const paid, failed, unknown = batch.OutcomePaid, batch.OutcomeFailed, batch.OutcomeUnknown
	ticket := func(i batch.Item) (centrapay.Record, error) {
		return centrapay.TicketekTicket{BarcodeClear: i.Account, Quantity: 1, PriceTypeCode: "J", ProductID: "P",
			OrderID: "1,2", PriceTypeName: "x"}, nil
	}
	terminal := func(i batch.Item) (centrapay.Record, error) {
		return centrapay.TerminalStatus{TerminalID: i.Account, Status: "active"}, nil
	}
	for name, c := range map[string]struct {
		record func(batch.Item) (centrapay.Record, error)
		kind   string
		ids    []string
		index  centrapay.ErrorIndex
		errors string
		want   []batch.Outcome
	}{
		"a ticket": {ticket, centrapay.TypeTicketekTicket, []string{"1", "2", "3"}, 0,
			`{"externalId":"2","message":"BAD_X"}`, []batch.Outcome{paid, failed, paid}},
		"a terminal": {terminal, centrapay.TypeVerifoneTerminalStatus, []string{"1", "2", "3"}, 0,
			`{"externalId":"3","index":"2","message":"BAD_X"}`, []batch.Outcome{paid, paid, failed}},
		"a sale and its cancellation": {ticket, centrapay.TypeTicketekTicket, []string{"1", "2", "1"}, 0,
			`{"externalId":"1","message":"BAD_X"}`, []batch.Outcome{unknown, paid, unknown}},
		"by an index that may be both": {ticket, centrapay.TypeTicketekTicket, []string{"1", "1", "3"}, 0,
			`{"externalId":"1","index":"1","message":"BAD_X"}`, []batch.Outcome{unknown, unknown, paid}},
		"by a known index": {ticket, centrapay.TypeTicketekTicket, []string{"1", "2", "1"},
			centrapay.ErrorIndexFrom1, `{"externalId":"1","index":"3","message":"BAD_X"}`,
			[]batch.Outcome{paid, paid, failed}},
		"by an index of another": {ticket, centrapay.TypeTicketekTicket, []string{"1", "2", "1"},
			centrapay.ErrorIndexFrom0, `{"externalId":"1","index":"1","message":"BAD_X"}`,
			[]batch.Outcome{unknown, paid, unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, nil)
			o := server.ProviderConfig()
			o.Type, o.Record, o.ErrorIndex = c.kind, c.record, c.index
			p := newProvider(t, server.Config(), o)
			d := newDraft(3)
			for n, id := range c.ids {
				d.Items[n].Account = id
			}
			b, err := p.Create(t.Context(), d)
			require.NoError(t, err)
			b, err = p.Submit(t.Context(), b)
			require.NoError(t, err)
			server.FinishAll()
			server.Inject(batchsim.Fault{Op: "GetBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
				Alter: func(r batchsim.Reply) batchsim.Reply {
					r.Body = bytes.Replace(r.Body, []byte(`"errors":[]`), []byte(`"errors":[`+c.errors+`]`), 1)
					r.Body = bytes.Replace(r.Body, []byte(`"errorCount":"0"`), []byte(`"errorCount":"1"`), 1)
					return r
				}})
			b, err = p.Poll(t.Context(), b)
			require.NoError(t, err)
			report, err := p.Report(t.Context(), b)
			var got []batch.Outcome
			for _, r := range report.Results {
				got = append(got, r.Outcome)
			}
			require.Equal(t, c.want, got, "%v", err)
		})
	}
}
