package centrapaytest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

type reply struct {
	ID, Status, Count, ErrorCount, Message string
	StatusCode                             int
	Errors                                 []struct{ ExternalID, Index, Message string }
}

func call(t *testing.T, s *centrapaytest.Server, method, path, contentType, body string) reply {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Api-Key", s.Config().APIKey)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var v reply
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), w.Body)
	return v
}

// load creates a batch of one file and completes it.
func load(t *testing.T, s *centrapaytest.Server, batchType, file string) reply {
	t.Helper()
	u, err := s.Upload(t.Context(), "", strings.NewReader(file))
	require.NoError(t, err)
	created := call(t, s, http.MethodPost, "/api/batches", "application/json",
		fmt.Sprintf(`{"type":%q,"url":%q,"accountId":%q,"test":true}`, batchType, u, s.ProviderConfig().AccountID))
	require.Equal(t, "created", created.Status)
	s.Finish(created.ID)
	return call(t, s, http.MethodGet, "/api/batches/"+created.ID, "", "")
}

// TestRecords: the simulator is no more lenient than the documentation.
func TestRecords(t *testing.T) {
	const farmlands, ticket, terminal, business = "farmlands-external-asset", "ticketek-ticket",
		"verifone-terminal-status", "business-onboard"
	card := func(fields string) string {
		return `{"externalId":"a","contacts":[{"externalId":"c","cards":[{"externalId":"d",` + fields + `}]}]}`
	}
	const header = "companyName,contactName,primaryContactEmail,externalBusinessId,categoryCode,settlementAccountNumber,assetProgramId," +
		"merchantName,merchantStreet,merchantCity,merchantCountry,merchantType,externalMerchantId,salesChannelId,deviceId\n"
	for name, c := range map[string]struct{ batchType, file, want string }{
		"a good account":       {farmlands, `{"externalId":"a","availableBalance":"0"}`, ""},
		"a newline at the end": {farmlands, "{\"externalId\":\"a\"}\n", ""},
		"no external id":       {farmlands, `{"accountNumber":"1"}`, "EXTERNAL_ID_REQUIRED"},
		"a bare balance":       {farmlands, `{"externalId":"a","availableBalance":5}`, "error"},
		"a balance of dollars": {farmlands, `{"externalId":"a","availableBalance":"5.00"}`, "INVALID_BALANCE"},
		"a negative balance":   {farmlands, `{"externalId":"a","availableBalance":"-5"}`, "INVALID_BALANCE"},
		"a balance with zeros": {farmlands, `{"externalId":"a","availableBalance":"05"}`, "INVALID_BALANCE"},
		"a trigger": {farmlands, `{"externalId":"a","accountNumber":"000000000"}`,
			"INVALID_ACCOUNT_NUMBER"},
		"another trigger": {farmlands, `{"externalId":"a","accountNumber":"000000404"}`, "ACCOUNT_NOT_FOUND"},
		"a foreign mobile": {farmlands,
			`{"externalId":"a","contacts":[{"externalId":"c","mobile":"+61412345678"}]}`, "INVALID_MOBILE"},
		"a short barcode":        {farmlands, card(`"barcode":"12345678"`), "INVALID_BARCODE_LENGTH"},
		"a letter in a barcode":  {farmlands, card(`"barcode":"12345678x"`), "INVALID_BARCODE"},
		"a short card number":    {farmlands, card(`"barcode":"123456789","number":"1"`), "INVALID_CARD_NUMBER"},
		"an unknown card status": {farmlands, card(`"barcode":"123456789","status":"lost"`), "INVALID_CARD_STATUS"},
		"an expiry with an offset": {farmlands, card(`"barcode":"123456789","expiry":"2026-01-02T03:04:05+13:00"`),
			"INVALID_EXPIRY"},
		"an unknown field":         {farmlands, `{"externalId":"a","balance":"5"}`, "error"},
		"two objects on a line":    {farmlands, `{"externalId":"a"}{"externalId":"b"}`, "error"},
		"an empty line":            {farmlands, "{\"externalId\":\"a\"}\n\n{\"externalId\":\"b\"}", "error"},
		"an array":                 {farmlands, `[{"externalId":"a"}]`, "error"},
		"not UTF-8":                {farmlands, "{\"externalId\":\"a\xff\"}", "error"},
		"nothing":                  {farmlands, "", "error"},
		"two tickets":              {ticket, `{"barcodeClear":"1","quantity":2}`, "INVALID_QUANTITY"},
		"a ticket of text":         {ticket, `{"barcodeClear":"1","quantity":"1"}`, "error"},
		"a terminal of no status":  {terminal, `{"deviceId":"1"}`, "INVALID_STATUS"},
		"a terminal of text":       {terminal, `"x"`, "error"},
		"a good business":          {business, header + "a,b,c,d,e,f,g,h,i,j,k,physical,l,m,n\n", ""},
		"no street":                {business, header + "a,b,c,d,e,f,g,h,,j,k,physical,l,m,n\n", "INVALID_ADDRESS"},
		"an unknown merchant type": {business, header + "a,b,c,d,e,f,g,h,i,j,k,shop,l,m,n\n", "INVALID_MERCHANT_TYPE"},
		"no device":                {business, header + "a,b,c,d,e,f,g,h,i,j,k,physical,l,m,\n", "MISSING_DEVICE"},
		"no company name":          {business, header + ",b,c,d,e,f,g,h,i,j,k,physical,l,m,n\n", "MISSING_COMPANYNAME"},
		"a row too short":          {business, header + "a,b\n", "error"},
		"only a header":            {business, header, "error"},
		"an unknown column":        {business, "x\ny\n", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			s := centrapaytest.New(nil)
			defer s.Close()
			got := load(t, s, c.batchType, c.file)
			switch c.want {
			case "error":
				require.Equal(t, "error", got.Status)
				require.Empty(t, s.Ledger.Effects(), "nothing is loaded of a file that cannot be read")
			case "":
				require.Equal(t, []any{"complete", "0"}, []any{got.Status, got.ErrorCount})
				require.Len(t, s.Ledger.Effects(), 1)
			default:
				require.Equal(t, []any{"complete", "1", "1"}, []any{got.Status, got.Count, got.ErrorCount})
				require.Equal(t, c.want, got.Errors[0].Message)
				require.Empty(t, s.Ledger.Effects())
			}
		})
	}
}

func TestCreateIsStrict(t *testing.T) {
	s := centrapaytest.New(nil)
	defer s.Close()
	good := fmt.Sprintf(`{"type":"ticketek-ticket","url":"https://b.test/a","accountId":%q,"test":true}`,
		s.ProviderConfig().AccountID)
	for want, body := range map[string]string{
		"type is required":                      strings.Replace(good, "ticketek-ticket", "", 1),
		"url is required":                       strings.Replace(good, "https://b.test/a", "", 1),
		"accountId is required":                 `{"type":"ticketek-ticket","url":"https://b.test/a","test":true}`,
		"type is invalid":                       strings.Replace(good, "ticketek", "x", 1),
		"url is invalid":                        strings.Replace(good, "https://b.test/a", "x", 1),
		"the body is malformed":                 strings.Replace(good, `"test"`, `"tset"`, 1),
		"Forbidden":                             strings.Replace(good, s.ProviderConfig().AccountID, "other", 1),
		"LIVENESS_MISMATCH":                     strings.Replace(good, "true", "false", 1),
		"content type must be application/json": "",
	} {
		contentType := "application/json; charset=utf-8"
		if body == "" {
			contentType = "text/plain"
		}
		require.Equal(t, want, call(t, s, http.MethodPost, "/api/batches", contentType, body).Message)
	}
	require.Panics(t, func() { s.Finish("none") })
}

func TestBadLines(t *testing.T) {
	s := centrapaytest.New(&centrapaytest.Options{SkipBadLines: true})
	defer s.Close()
	got := load(t, s, "farmlands-external-asset", "{\"externalId\":\"a\"}\nx\n")
	require.Equal(t, []any{"complete", "2", "1"}, []any{got.Status, got.Count, got.ErrorCount})
	require.Equal(t, []any{"1", "INVALID_RECORD"}, []any{got.Errors[0].Index, got.Errors[0].Message})
}
