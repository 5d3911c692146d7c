package citypay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

const host = "https://citypay.test"

// mocked returns a client whose requests go to gock, and nowhere else. Gock is
// global, so these tests never run in parallel.
func mocked(t *testing.T) *citypay.Client {
	t.Helper()
	t.Setenv("SEQUENTIAL", "yes") // makes t.Parallel panic
	gock.DisableNetworking()
	client, err := citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB", BaseURL: host,
		Middleware: func(http.RoundTripper) http.RoundTripper { return gock.NewTransport() }})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.True(t, gock.IsDone(), "a request that was expected did not come")
		require.Empty(t, gock.GetUnmatchedRequests())
		gock.OffAll()
	})
	return client
}

// expect arranges one exchange, and compares the request with the sample byte
// for byte in meaning.
func expect(t *testing.T, request, response sample) {
	t.Helper()
	gock.New(host).Post("^"+request.Path+"$").
		MatchHeader("Content-Type", "^application/json$").
		MatchHeader("Accept", "^application/json$").
		MatchHeader("User-Agent", "^batchway-go$").
		MatchHeader("Cp-Api-Key", "^UEM2MDAwMDE6[A-Za-z0-9+/]+={0,2}$"). // PC600001:
		AddMatcher(func(r *http.Request, _ *gock.Request) (bool, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return false, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if diff := cmp.Diff(canonical(t, request.Body), canonical(t, body)); diff != "" {
				t.Errorf("the request is not as documented (-want +got):\n%s", diff)
			}
			return true, nil
		}).
		Reply(response.Status).
		SetHeader("Content-Type", "application/json").
		BodyString(string(response.Body))
}

func canonical(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

func TestShapes(t *testing.T) {
	all := samples(t)
	t.Run("ProcessBatch", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["batch_process.request"], all["batch_process.response"])
		var request citypay.ProcessBatchRequest
		require.NoError(t, json.Unmarshal(all["batch_process.request"].Body, &request))
		got, err := client.ProcessBatch(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, &citypay.ProcessBatchResponse{Valid: true, Message: "Approved 044332"}, got)
	})
	t.Run("ProcessBatch that is not valid", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["batch_process.request"], all["batch_process_invalid.response"])
		var request citypay.ProcessBatchRequest
		require.NoError(t, json.Unmarshal(all["batch_process.request"].Body, &request))
		_, err := client.ProcessBatch(t.Context(), request)
		require.ErrorIs(t, err, batch.ErrInvalid)
	})
	t.Run("BatchStatus", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["batch_status.request"], all["batch_status.response"])
		var request citypay.CheckBatchStatus
		require.NoError(t, json.Unmarshal(all["batch_status.request"].Body, &request))
		got, err := client.BatchStatus(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, citypay.StatusComplete, got.Batches[0].BatchStatus)
	})
	t.Run("RetrieveBatch", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["batch_retrieve.request"], all["batch_retrieve.response"])
		var request citypay.BatchReportRequest
		require.NoError(t, json.Unmarshal(all["batch_retrieve.request"].Body, &request))
		got, err := client.RetrieveBatch(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, citypay.ResultAccepted, got.Transactions[0].Result)
		require.EqualValues(t, "001245A", got.Transactions[0].AuthCode)
	})
	t.Run("RetrieveTransactions", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["transaction_retrieve.request"], all["transaction_retrieve_two_attempts.response"])
		expect(t, all["transaction_retrieve_by_transno.request"], all["transaction_retrieve_declined.response"])
		got, err := client.RetrieveTransactions(t.Context(), citypay.RetrieveRequest{MerchantID: 11223344,
			Identifier: "95b857a1-5955-4b86-963c-5a6dbfc4fb95"})
		require.NoError(t, err)
		require.Equal(t, []citypay.TransStatus{citypay.TransOpen, citypay.TransDeclined},
			[]citypay.TransStatus{got.Auths[0].TransStatus, got.Auths[1].TransStatus})
		require.Equal(t, int64(19995), got.Auths[0].AmountValue)
		got, err = client.RetrieveTransactions(t.Context(), citypay.RetrieveRequest{MerchantID: 11223344,
			TransNo: 78416})
		require.NoError(t, err)
		require.Equal(t, int64(78416), got.Auths[0].TransNo)
	})
	t.Run("SetAccountStatus", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["account_status.request"], all["account_status.response"])
		got, err := client.SetAccountStatus(t.Context(), "aaabbb-cccddd-eee", citypay.AccountDisabled)
		require.NoError(t, err)
		require.Equal(t, "001", got.Code)
		expect(t, all["account_status.request"], all["account_status_invalid.response"])
		_, err = client.SetAccountStatus(t.Context(), "aaabbb-cccddd-eee", citypay.AccountDisabled)
		require.ErrorIs(t, err, batch.ErrInvalid)
	})
	t.Run("SetCardStatus", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["card_status.request"], all["card_status.response"])
		_, err := client.SetCardStatus(t.Context(), "aaabbb-cccddd-eee", "c0ffee01",
			citypay.SetCardStatus{CardStatus: citypay.CardInactive, Default: new(bool)})
		require.NoError(t, err)
	})
	t.Run("Ping", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["ping.request"], all["ping.response"])
		got, err := client.Ping(t.Context(), "it_test")
		require.NoError(t, err)
		require.EqualValues(t, "Ping OK", got.Message)
	})
	t.Run("CheckACL", func(t *testing.T) {
		client := mocked(t)
		expect(t, all["acl_check.request"], all["acl_check.response"])
		got, err := client.CheckACL(t.Context(), "8.8.8.8")
		require.NoError(t, err)
		require.EqualValues(t, "AWS", got.Provider)
	})
}

func TestNewChecksItsConfiguration(t *testing.T) {
	const secret = "canary\r\nX-Evil: 1"
	for field, c := range map[string]citypay.Config{
		"ClientID":   {LicenceKey: "key"},
		"LicenceKey": {ClientID: "PC1", LicenceKey: secret},
		"BaseURL":    {ClientID: "PC1", LicenceKey: "key", BaseURL: "http://api.citypay.com"},
	} {
		_, err := citypay.New(c)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err := citypay.New(citypay.Config{ClientID: "PC1", LicenceKey: "key"})
	require.NoError(t, err, "the sandbox is the default")
}

func TestConfigShowsNoSecret(t *testing.T) {
	c := citypay.Config{ClientID: "PC1", LicenceKey: "canary-5512"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprint(&c),
		log.String()} {
		require.NotContains(t, text, "canary")
		require.NotContains(t, text, fmt.Sprintf("%x", "canary"))
		require.Contains(t, text, "PC1")
	}
}

func TestPingTellsWhatIsWrong(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	for name, change := range map[string]func(*citypay.Config){
		"key":    func(c *citypay.Config) { c.LicenceKey = "another" },
		"client": func(c *citypay.Config) { c.ClientID = "PC2" },
	} {
		config := server.Config()
		change(&config)
		client, err := citypay.New(config)
		require.NoError(t, err)
		_, err = client.Ping(t.Context(), "")
		require.ErrorIs(t, err, batch.ErrAuth, name)
		require.ErrorContains(t, err, "the key, the clock or the source address")
		client.CloseIdleConnections()
	}
	client, err := citypay.New(server.Config())
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	_, err = client.Ping(t.Context(), "")
	require.NoError(t, err)
	server.Clock.Advance(-2 * 60 * 60 * 1e9)
	_, err = client.Ping(t.Context(), "")
	require.ErrorIs(t, err, batch.ErrAuth, "a clock that is two hours ahead")
}

// The table of operations is the audit: each one is answered by the simulator
// under its method and path. What is not in this list is only read.
func TestOperations(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	client, err := citypay.New(server.Config())
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	var once []string
	for _, op := range citypay.Operations {
		if op.Safety == batchhttp.Once {
			once = append(once, op.Name)
		}
		req, err := http.NewRequestWithContext(t.Context(), op.Method, server.URL+
			strings.NewReplacer("{", "", "}", "").Replace(op.Path), http.NoBody)
		require.NoError(t, err)
		plain := server.Config().HTTPClient
		reply, err := plain.Do(req)
		require.NoError(t, err)
		_ = reply.Body.Close()
		plain.CloseIdleConnections()
		require.Equal(t, 1, server.Log.Count(op.Name), "%s %s is not what the service calls %s", op.Method,
			op.Path, op.Name)
	}
	require.Equal(t, []string{"ProcessBatch", "Charge", "Refund", "Void", "Capture"}, once[:5], "these move money")
	require.Equal(t, []string{"CreateAccount", "UpdateContact", "DeleteAccount", "RegisterCard", "DeleteCard",
		"SetAccountStatus", "SetCardStatus",
		"RegisterTempIP", "GenerateDomainKey", "CreateChannel", "DeleteChannel", "Subscribe", "Unsubscribe"}, once[5:])
	require.Len(t, citypay.Operations, 33)
}
