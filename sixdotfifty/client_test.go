package sixdotfifty_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

const host = "https://sixdotfifty.test"

// mocked returns a configuration whose requests go to gock, and nowhere else.
// Gock is global, so these tests never run in parallel.
func mocked(t *testing.T) sixdotfifty.Config {
	t.Helper()
	t.Setenv("SEQUENTIAL", "yes") // makes t.Parallel panic
	gock.DisableNetworking()
	t.Cleanup(func() {
		require.True(t, gock.IsDone(), "a request that was expected did not come")
		require.Empty(t, gock.GetUnmatchedRequests())
		gock.OffAll()
	})
	c := sixdotfifty.Config{Key: "00000000-0000-0000-0000-000000000000", Secret: "supersecretpassword", BaseURL: host,
		Middleware: func(http.RoundTripper) http.RoundTripper { return gock.NewTransport() }}
	var reply map[string]any
	require.NoError(t, json.Unmarshal(samples(t)["pay_get_token.response"].Body, &reply))
	reply["token"] = strings.TrimSuffix(reply["token"].(string), "…") // Cut short in the documentation.
	gock.New(host).Post("^/authentication/getToken$").
		MatchHeader("Content-Type", "^application/json$").
		AddMatcher(func(r *http.Request, _ *gock.Request) (bool, error) {
			body, err := io.ReadAll(r.Body)
			require.Equal(t, meaning(t, samples(t)["pay_get_token.request"].Body), meaning(t, body))
			return true, err
		}).
		Reply(200).SetHeader("Date", "Sat, 24 Sep 2022 13:16:00 GMT").
		JSON(reply)
	return c
}

// expect arranges one exchange with the token, and compares the request with
// the sample in meaning.
func expect(t *testing.T, request, response sample) {
	t.Helper()
	exchange := gock.New(host)
	path := "^" + regexp.QuoteMeta(request.Path) + "$"
	map[string]func(string) *gock.Request{"GET": exchange.Get, "POST": exchange.Post, "PUT": exchange.Put,
		"DELETE": exchange.Delete}[request.Method](path).
		MatchHeader("Accept", "^application/json$").
		MatchHeader("User-Agent", "^batchway-go$").
		MatchHeader("Authorization", "^Bearer eyJhbGciOiJIzI1NiIsInR5cCI6IkXVCJ9.eyJpZC$").
		AddMatcher(func(r *http.Request, _ *gock.Request) (bool, error) {
			got, want := make(map[string]string), maps.Clone(request.Query)
			for key := range r.URL.Query() {
				got[key] = r.URL.Query().Get(key)
			}
			for _, query := range []map[string]string{got, want} {
				delete(query, "take") // How many is for the client to say.
			}
			if got["skip"] != want["skip"] {
				return false, nil // Of another page.
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the query is not as documented (-want +got):\n%s", diff)
			}
			var body []byte
			if r.Body != nil {
				var err error
				if body, err = io.ReadAll(r.Body); err != nil {
					return false, err
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			if request.Body == nil {
				require.Empty(t, body)
				return true, nil
			}
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			if diff := cmp.Diff(meaning(t, request.Body), meaning(t, body)); diff != "" {
				t.Errorf("the request is not as documented (-want +got):\n%s", diff)
			}
			return true, nil
		})
	exchange.Reply(response.Status).SetHeader("Content-Type", "application/json").BodyString(string(response.Body))
}

// expectAll is expect, and for a list the page after the last.
func expectAll(t *testing.T, request, response sample) {
	t.Helper()
	var rows []json.RawMessage
	if request.Method == "GET" && strings.HasSuffix(request.Path, "/payments") && request.Query == nil {
		request.Query = map[string]string{"skip": "0"} // Sent, though not documented.
	}
	expect(t, request, response)
	if request.Query == nil {
		return
	}
	require.NoError(t, json.Unmarshal(response.Body, &rows))
	request.Query = maps.Clone(request.Query)
	request.Query["skip"] = strconv.Itoa(len(rows))
	expect(t, request, sample{Status: 200, Body: []byte("[]")})
}

// list collects what an iterator yields.
func list[T any](t *testing.T, seq func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// every call of PAY goes out as documented, and its reply is understood.
func TestPayShapes(t *testing.T) {
	all := samples(t)
	decode := func(name string, v any) { require.NoError(t, json.Unmarshal(all[name].Body, v)) }
	const batchID, paymentID = "b7ccbefd-51e1-4720-81fb-da5700e34e81", "d07295e6-98ef-46b1-9911-01b8a3426de6"
	for name, call := range map[string]func(context.Context, *sixdotfifty.Client) (any, error){
		"list_accounts": func(ctx context.Context, c *sixdotfifty.Client) (any, error) { return c.Accounts(ctx) },
		"create_batch": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			var r sixdotfifty.BatchRequest
			decode("pay_create_batch.request", &r)
			return c.CreateBatch(ctx, r)
		},
		"list_batches": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return list(t, c.ListBatches(ctx, sixdotfifty.ListBatchesOptions{StatusCode: sixdotfifty.BatchDraft,
				ExternalID: "testbatch1"})), nil
		},
		"get_batch": func(ctx context.Context, c *sixdotfifty.Client) (any, error) { return c.GetBatch(ctx, batchID) },
		"update_batch": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			var r sixdotfifty.BatchRequest
			decode("pay_update_batch.request", &r)
			return c.UpdateBatch(ctx, batchID, r)
		},
		"batch_status_codes": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.BatchStatusCodes(ctx)
		},
		"list_batch_payments": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.ListPayments(ctx, "7c2c1a0a-f462-42c3-b13c-30da2e4ad216")
		},
		"submit_batch": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.SubmitBatch(ctx, "7c2c1a0a-f462-42c3-b13c-30da2e4ad216")
		},
		"cancel_batch": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.CancelBatch(ctx, "f945d71c-b00f-4e77-8175-253093157a2f")
		},
		"get_payment": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.GetPayment(ctx, paymentID)
		},
		"delete_payment": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.DeletePayment(ctx, paymentID)
		},
		"payment_status_codes": func(ctx context.Context, c *sixdotfifty.Client) (any, error) {
			return c.PaymentStatusCodes(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := sixdotfifty.New(mocked(t))
			require.NoError(t, err)
			expectAll(t, all["pay_"+name+".request"], all["pay_"+name+".response"])
			got, err := call(t.Context(), client)
			require.NoError(t, err)
			text, err := json.Marshal(got)
			require.NoError(t, err)
			if diff := cmp.Diff(meaning(t, all["pay_"+name+".response"].Body), meaning(t, text)); diff != "" {
				t.Errorf("the reply is not understood as documented (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("add_batch_payments", func(t *testing.T) {
		client, err := sixdotfifty.New(mocked(t))
		require.NoError(t, err)
		var r sixdotfifty.AddPaymentsRequest
		decode("pay_add_batch_payments.request", &r)
		expect(t, all["pay_add_batch_payments.request"], sample{Status: 200, Body: []byte(`whatever it is`)})
		raw, err := client.AddPayments(t.Context(), batchID, r)
		require.NoError(t, err, "the reply is not documented, so nothing is expected of it")
		require.Equal(t, "whatever it is", string(raw))
	})
	t.Run("an empty list of payments is a list", func(t *testing.T) {
		client, err := sixdotfifty.New(mocked(t))
		require.NoError(t, err)
		request := all["pay_add_batch_payments.request"]
		request.Body = []byte(`{"clearExisting":true,"payments":[]}`)
		expect(t, request, sample{Status: 200})
		_, err = client.AddPayments(t.Context(), batchID, sixdotfifty.AddPaymentsRequest{ClearExisting: true})
		require.NoError(t, err)
	})
	for status, body := range map[int]string{200: `true`, 204: ``, 404: `{"anything":1}`} {
		t.Run(fmt.Sprintf("member_exists answered %d", status), func(t *testing.T) {
			client, err := sixdotfifty.New(mocked(t))
			require.NoError(t, err)
			expect(t, sample{Method: "GET", Path: "/members/27821231234/exists"},
				sample{Status: status, Body: []byte(body)})
			got, err := client.MemberExists(t.Context(), "27821231234")
			require.NoError(t, err)
			require.Equal(t, status, got.Status)
			require.Equal(t, body, string(got.Body))
		})
	}
}

func TestRedemptionsShapes(t *testing.T) {
	all := samples(t)
	const account = "00000000-0000-0000-0000-000000000000"
	day := func(d int) time.Time { return time.Date(2022, 9, d, 0, 0, 0, 0, time.UTC) }
	for name, call := range map[string]func(context.Context, *sixdotfifty.RedemptionsClient) (any, error){
		"list_accounts": func(ctx context.Context, c *sixdotfifty.RedemptionsClient) (any, error) {
			return c.Accounts(ctx)
		},
		"list_account_transactions": func(ctx context.Context, c *sixdotfifty.RedemptionsClient) (any, error) {
			return list(t, c.Transactions(ctx, account, sixdotfifty.TransactionsOptions{CreatedFrom: day(19),
				CreatedTo: day(21)})), nil
		},
		"initiate_payment": func(ctx context.Context, c *sixdotfifty.RedemptionsClient) (any, error) {
			var r sixdotfifty.InitiatePaymentRequest
			require.NoError(t, json.Unmarshal(all["redemptions_initiate_payment.request"].Body, &r))
			return c.InitiatePayment(ctx, r)
		},
		"get_payment": func(ctx context.Context, c *sixdotfifty.RedemptionsClient) (any, error) {
			return c.Payment(ctx, "009c3481-a65c-4afa-a950-1f5bce710493")
		},
		"list_payments": func(ctx context.Context, c *sixdotfifty.RedemptionsClient) (any, error) {
			paid := sixdotfifty.RedemptionsPaid
			return list(t, c.Payments(ctx, sixdotfifty.PaymentsOptions{Reference: "ref12345678", StatusCode: &paid,
				ErrorCode:   sixdotfifty.RedemptionsNoError,
				CreatedFrom: day(26), CreatedTo: day(27), CompletedFrom: day(26), CompletedTo: day(27)})), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := mocked(t)
			client, err := sixdotfifty.NewRedemptions(sixdotfifty.RedemptionsConfig{Key: c.Key, Secret: c.Secret,
				BaseURL: c.BaseURL, PageURL: host, Middleware: c.Middleware})
			require.NoError(t, err)
			expectAll(t, all["redemptions_"+name+".request"], all["redemptions_"+name+".response"])
			got, err := call(t.Context(), client)
			require.NoError(t, err)
			text, err := json.Marshal(got)
			require.NoError(t, err)
			if diff := cmp.Diff(meaning(t, all["redemptions_"+name+".response"].Body), meaning(t, text)); diff != "" {
				t.Errorf("the reply is not understood as documented (-want +got):\n%s", diff)
			}
		})
	}
}

// Both APIs document the same getToken, and both clients understand it.
func TestGetToken(t *testing.T) {
	all := samples(t)
	for _, half := range []string{"request", "response", "response_failed"} {
		require.Equal(t, all["pay_get_token."+half], all["redemptions_get_token."+half])
	}
	for name, get := range map[string]func(sixdotfifty.Config) (*sixdotfifty.Token, error){
		"pay": func(c sixdotfifty.Config) (*sixdotfifty.Token, error) { return newClient(t, c).GetToken(t.Context()) },
		"redemptions": func(c sixdotfifty.Config) (*sixdotfifty.Token, error) {
			client, err := sixdotfifty.NewRedemptions(sixdotfifty.RedemptionsConfig{Key: c.Key, Secret: c.Secret,
				BaseURL: c.BaseURL, PageURL: host, Middleware: c.Middleware})
			require.NoError(t, err)
			return client.GetToken(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := get(mocked(t))
			require.NoError(t, err)
			require.Equal(t, "eyJhbGciOiJIzI1NiIsInR5cCI6IkXVCJ9.eyJpZC", token.Token)
			require.Equal(t, time.Date(2022, 9, 24, 13, 31, 0, 557_000_000, time.UTC), token.ExpiresAt)
		})
	}
}

func TestNewChecksItsConfiguration(t *testing.T) {
	const secret = "canary\r\nX-Evil: 1"
	for field, c := range map[string]sixdotfifty.Config{
		"Key":     {Secret: "secret", BaseURL: host},
		"Secret":  {Key: "key", Secret: secret, BaseURL: host},
		"BaseURL": {Key: "key", Secret: "secret"},
	} {
		_, err := sixdotfifty.New(c)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err := sixdotfifty.New(sixdotfifty.Config{Key: "key", Secret: "secret", BaseURL: "http://api.6dot50.com"})
	require.ErrorContains(t, err, "https")

	staging, err := sixdotfifty.NewRedemptions(sixdotfifty.RedemptionsConfig{Key: "key", Secret: "secret"})
	require.NoError(t, err, "staging is the default")
	require.Equal(t, "https://secure.staging.6dot50.com/payment?id=a%26b", staging.PageURL("a&b"))
	for _, url := range []string{sixdotfifty.RedemptionsProduction, sixdotfifty.RedemptionsProduction + "/",
		"https://API.6dot50.com/za/redemptions"} {
		production, err := sixdotfifty.NewRedemptions(sixdotfifty.RedemptionsConfig{Key: "key",
			Secret: "secret", BaseURL: url})
		require.NoError(t, err)
		require.Equal(t, "https://secure.6dot50.com/payment?id=1", production.PageURL("1"))
	}
	_, err = sixdotfifty.NewRedemptions(sixdotfifty.RedemptionsConfig{Key: "key", Secret: "secret", BaseURL: host})
	require.ErrorContains(t, err, "PageURL: is required")
}

func TestNothingShowsASecret(t *testing.T) {
	pay := sixdotfifty.Config{Key: "canary-key", Secret: "canary-5512", BaseURL: host}
	collect := sixdotfifty.RedemptionsConfig{Key: "canary-key", Secret: "canary-5512", BaseURL: host}
	token := sixdotfifty.Token{Token: "canary-token"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "pay", pay, "collect", collect, "token", token,
		"within", struct {
			Pay   sixdotfifty.Config
			Token *sixdotfifty.Token
		}{pay, &token})
	for _, v := range []any{pay, &pay, collect, &collect, token, &token} {
		text := fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v)
		require.NotContains(t, text, "canary")
		require.NotContains(t, text, fmt.Sprintf("%x", "canary"))
		require.Contains(t, text, "[redacted]")
	}
	require.NotContains(t, log.String(), "canary")
	require.Contains(t, log.String(), host)
}

// The tables of operations are the audit: each one is answered by the
// simulator under its method and path, and one of them moves money.
func TestOperations(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	plain := server.Config().HTTPClient
	defer plain.CloseIdleConnections()
	for base, table := range map[string][]batchhttp.Op{server.URL: sixdotfifty.PayOperations,
		server.RedemptionsConfig().BaseURL: sixdotfifty.RedemptionsOperations} {
		for _, op := range table {
			path := strings.NewReplacer("{id}", "1", "{msisdn}", "27820000000").Replace(op.Path)
			req, err := http.NewRequestWithContext(t.Context(), op.Method, base+path, http.NoBody)
			require.NoError(t, err)
			reply, err := plain.Do(req)
			require.NoError(t, err)
			_ = reply.Body.Close()
			require.Equal(t, 1, server.Log.Count(op.Name), "%s %s is not what the service calls %s", op.Method,
				op.Path, op.Name)
		}
	}
	source, err := os.ReadFile("ops.go")
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^\s+op\w+\s+= batchhttp\.Op\{`).FindAllString(string(source), -1)
	require.Len(t, slices.Concat(sixdotfifty.PayOperations, sixdotfifty.RedemptionsOperations), len(declared),
		"an operation is not in the tables")
	marked := regexp.MustCompile(`(?m)^\s*(op\w+) .*// moves money$`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, marked, 1, "operations that move money")
	require.Equal(t, "opSubmitBatch", marked[0][1])
	i := slices.IndexFunc(sixdotfifty.PayOperations, func(op batchhttp.Op) bool { return op.Name == "SubmitBatch" })
	require.Equal(t, batchhttp.Once, sixdotfifty.PayOperations[i].Safety)
}

func newClient(t testing.TB, c sixdotfifty.Config) *sixdotfifty.Client {
	t.Helper()
	client, err := sixdotfifty.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// askAtOnce asks for the accounts from so many goroutines, none of which may
// fail.
func askAtOnce(t *testing.T, client *sixdotfifty.Client, callers int) {
	t.Helper()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if _, err := client.Accounts(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAThousandCallersFetchOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
		defer server.Close()
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		askAtOnce(t, client, 1000)
		require.Equal(t, 1, server.Log.Count("GetToken"))
		require.Equal(t, 1000, server.Log.Count("ListAccounts"))
	})
}

// A caller who asks first may leave, and takes no other along.
func TestEachWaiterHonoursItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
		defer server.Close()
		server.Inject(batchsim.Fault{Op: "GetToken", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Stall})
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		leader, leave := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { _, err := client.Accounts(leader); results <- err }()
		synctest.Wait()
		go func() { _, err := client.Accounts(t.Context()); results <- err }()
		synctest.Wait()
		before := time.Now()
		leave()
		err := <-results
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, time.Since(before), "the leader leaves at once")
		require.NoError(t, <-results, "the other gets the token that the leader began to fetch")
		require.Equal(t, 2, server.Log.Count("GetToken"), "the first was never answered, and was repeated once")
	})
}

// A token lives for fifteen minutes, also if it says that it lives for years.
func TestTokensAreRenewedEarly(t *testing.T) {
	for _, life := range []time.Duration{15 * time.Minute, 10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true, TokenLifetime: life})
			defer server.Close()
			client := newClient(t, server.Config())
			defer client.CloseIdleConnections()
			ask := func(want int) {
				t.Helper()
				_, err := client.Accounts(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, server.Log.Count("GetToken"))
			}
			ask(1)
			time.Sleep(11 * time.Minute)
			ask(1)
			time.Sleep(90 * time.Second) // Twelve of its fifteen minutes are over.
			ask(2)
			time.Sleep(time.Minute)
			ask(2)
		})
	}
}

// A 401 that is late speaks of the token that it was sent with, and no newer
// one is dropped for it.
func TestALate401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
		defer server.Close()
		config := server.Config()
		arrive := make(chan struct{})
		config.Middleware = func(next http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				reply, err := next.RoundTrip(r)
				if err == nil && reply.StatusCode == http.StatusUnauthorized &&
					strings.HasSuffix(r.URL.Path, "/statusCodes") {
					<-arrive
				}
				return reply, err
			})
		}
		client := newClient(t, config)
		_, err := client.Accounts(t.Context())
		require.NoError(t, err)
		server.RevokeTokens()
		late := make(chan error)
		go func() { _, err := client.BatchStatusCodes(t.Context()); late <- err }()
		synctest.Wait()
		_, err = client.Accounts(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, server.Log.Count("GetToken"))
		close(arrive)
		require.NoError(t, <-late)
		require.Equal(t, 2, server.Log.Count("BatchStatusCodes"), "it was refused, and repeated")
		require.Equal(t, 2, server.Log.Count("GetToken"), "with the token that was there")
	})
}

// Rows 28 and 79: a token that is refused is dropped, and the read repeated.
func TestRow28And79ARefusedTokenIsRenewedOnce(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	_, err := client.Accounts(t.Context())
	require.NoError(t, err)
	server.RevokeTokens()
	askAtOnce(t, client, 20)
	require.Equal(t, 2, server.Log.Count("GetToken"), "one token for all, however many saw the 401")

	// A submit is never sent twice by the client; Run attempts it anew.
	p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{})
	server.Break(batchsim.Unauthorized)
	d := newDraft(2)
	_, err = batch.Run(t.Context(), p, d, nil)
	require.NoError(t, err)
	require.Equal(t, 2, server.Log.Count("SubmitBatch"))
	require.Equal(t, map[string]int{d.Items[0].Reference: 1, d.Items[1].Reference: 1}, server.Accepted(),
		"row 28: one effect")
}

func TestRow29Unauthorized401Forever(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	server.Inject(batchsim.Fault{Op: "ListAccounts", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.Reply{Status: 401}})
	_, err := client.Accounts(t.Context())
	require.ErrorIs(t, err, batch.ErrAuth)
	require.Equal(t, 2, server.Log.Count("ListAccounts"), "one renewal, and no more")
	require.Equal(t, 2, server.Log.Count("GetToken"))
}

// A storm of 401s renews the token once, and fails no call: what it costs is not
// taken from what failed reads may spend.
func TestAStormOf401s(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	_, err := client.Accounts(t.Context())
	require.NoError(t, err)
	server.RevokeTokens()
	askAtOnce(t, client, 300)
	require.Equal(t, 2, server.Log.Count("GetToken"))
}

// A token that hardly lives is still used once by those who waited for it.
func TestATokenOfAnInstant(t *testing.T) {
	var fetches atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "getToken") {
			_, _ = io.WriteString(w, `[]`)
			return
		}
		fetches.Add(1)
		w.Header().Set("Date", "Sat, 24 Sep 2022 13:16:00 GMT")
		_, _ = io.WriteString(w, `{"success":true,"token":"abcd","expiresAt":"2022-09-24T13:16:00.0000001Z"}`)
	}))
	defer server.Close()
	client := newClient(t, sixdotfifty.Config{Key: "key-1234", Secret: "secret-1234", BaseURL: server.URL})
	_, err := client.Accounts(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), fetches.Load())
	client.CloseIdleConnections()
}

// A list that has no end is not read for ever, and not taken for whole.
func TestAListWithoutEnd(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "getToken") {
			_, _ = io.WriteString(w, `{"success":true,"token":"abcd"}`)
			return
		}
		n++
		_, _ = fmt.Fprintf(w, `[{"id":"%d","statusCode":"OPEN","createdAt":"2022-12-13T12:29:39"}]`, n)
	}))
	defer server.Close()
	client := newClient(t, sixdotfifty.Config{Key: "key-1234", Secret: "secret-1234", BaseURL: server.URL})
	defer client.CloseIdleConnections()
	var last error
	for _, err := range client.ListBatches(t.Context(), sixdotfifty.ListBatchesOptions{}) {
		last = err
	}
	require.ErrorIs(t, last, batch.ErrProtocol)
	require.Equal(t, 10_000, n)
}

func TestAListHasALimit(t *testing.T) {
	for size, most := range map[int]int{100: 1_000_000, 1 << 20: 256} {
		rows, err := sixdotfifty.LongList(size)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, "the list is longer than 1000000 rows or 256 MiB")
		require.Equal(t, most, rows)
	}
}

// A page of a thousand payments can be larger than a megabyte.
func TestAPageOfTwoMegabytesIsRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "getToken"):
			_, _ = io.WriteString(w, `{"success":true,"token":"abcd"}`)
		case r.URL.Query().Get("skip") != "0":
			_, _ = io.WriteString(w, `[]`)
		default:
			_, _ = fmt.Fprintf(w, `[{"id":"b1","statusCode":"OPEN","createdAt":"2022-12-13T12:29:39","more":%q}]`,
				strings.Repeat("x", 2<<20))
		}
	}))
	defer server.Close()
	client := newClient(t, sixdotfifty.Config{Key: "key-1234", Secret: "secret-1234", BaseURL: server.URL})
	n := 0
	for _, err := range client.ListBatches(t.Context(), sixdotfifty.ListBatchesOptions{}) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 1, n)
}

// A reply about another object is never believed, whichever call it answers.
func TestRepliesAboutAnother(t *testing.T) {
	const batchBody, paymentBody = `{"id":"another","statusCode":"DRAFT"}`,
		`{"id":"another","statusCode":"DRAFT","amount":1}`
	for op, c := range map[string]struct {
		body string
		call func(*sixdotfifty.Client) error
		want batch.Kind
	}{
		"GetBatch": {batchBody, func(c *sixdotfifty.Client) error {
			_, err := c.GetBatch(t.Context(), "b1")
			return err
		}, batch.ErrProtocol},
		"CancelBatch": {batchBody, func(c *sixdotfifty.Client) error {
			_, err := c.CancelBatch(t.Context(), "b1")
			return err
		}, batch.ErrAmbiguous},
		"UpdateBatch": {batchBody, func(c *sixdotfifty.Client) error {
			_, err := c.UpdateBatch(t.Context(), "b1", sixdotfifty.BatchRequest{Name: "n"})
			return err
		}, batch.ErrAmbiguous},
		"GetPayment": {paymentBody, func(c *sixdotfifty.Client) error {
			_, err := c.GetPayment(t.Context(), "p1")
			return err
		}, batch.ErrProtocol},
		"DeletePayment": {paymentBody, func(c *sixdotfifty.Client) error {
			_, err := c.DeletePayment(t.Context(), "p1")
			return err
		}, batch.ErrAmbiguous},
		"ListPayments": {`[{"id":"p1","batchId":"another","statusCode":"DRAFT","amount":1}]`,
			func(c *sixdotfifty.Client) error { _, err := c.ListPayments(t.Context(), "b1"); return err },
			batch.ErrProtocol},
		"ListBatches": {`[{"id":"","statusCode":"DRAFT"}]`, func(c *sixdotfifty.Client) error {
			for _, err := range c.ListBatches(t.Context(), sixdotfifty.ListBatchesOptions{}) {
				return err
			}
			return nil
		}, batch.ErrProtocol},
	} {
		server, client, _ := start(t, nil)
		server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, c.body)})
		require.ErrorIs(t, c.call(client), c.want, op)
	}
}

// Row 78: what is no token is never used, and never repeated.
func TestRow78BadTokens(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"success:false":            {200, `{"success":false}`},
		"success:false with a 401": {401, `{"success":false}`},
		"success:false with a 400": {400, `{"success":false}`},
		"success:false with a 500": {500, `{"success":false}`},
		"success:false and token":  {200, `{"success":false,"token":"canary"}`},
		"an empty token":           {200, `{"success":true,"token":"","expiresAt":"2099-01-01T00:00:00Z"}`},
		"no token":                 {200, `{"success":true}`},
		"a token with CRLF": {200,
			`{"success":true,"token":"canary\r\nX-Evil: 1","expiresAt":"2099-01-01T00:00:00Z"}`},
		"a token with a blank":  {200, `{"success":true,"token":"canary canary","expiresAt":"2099-01-01T00:00:00Z"}`},
		"expiresAt in the past": {200, `{"success":true,"token":"canary","expiresAt":"2001-01-01T00:00:00Z"}`},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			client := newClient(t, sixdotfifty.Config{Key: "key-1234", Secret: "secret-1234", BaseURL: server.URL})
			_, err := client.Accounts(t.Context())
			require.ErrorIs(t, err, batch.ErrAuth)
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "Evil")
			_, err = client.Accounts(t.Context())
			require.ErrorIs(t, err, batch.ErrAuth)
			require.Equal(t, 1, requests, "the second caller is told the same, without a request")
			client.CloseIdleConnections()
		})
	}
}

func TestAFailedTokenIsAskedForAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true, TokenRefusal: 401})
		defer server.Close()
		config := server.Config()
		config.Secret = "wrong-secret"
		client := newClient(t, config)
		defer client.CloseIdleConnections()
		ask := func(want int) {
			t.Helper()
			_, err := client.Accounts(t.Context())
			require.ErrorIs(t, err, batch.ErrAuth)
			require.NotContains(t, err.Error(), "wrong-secret")
			require.Equal(t, want, server.Log.Count("GetToken"))
		}
		ask(1)
		ask(1)
		time.Sleep(1100 * time.Millisecond)
		ask(2)
		time.Sleep(1100 * time.Millisecond)
		ask(2) // It rests twice as long each time.
		time.Sleep(time.Second)
		ask(3)
	})
}

// However often no token could be had, it is asked for again after a minute;
// and after a success, a failure is the first again.
func TestHowLongAFailedTokenRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
		defer server.Close()
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		refuse := batchsim.Fault{Op: "GetToken", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, `{"success":false}`)}
		ask := func(want int, kind batch.Kind) {
			t.Helper()
			_, err := client.Accounts(t.Context())
			require.Equal(t, kind, batch.KindOf(err), "%v", err)
			require.Equal(t, want, server.Log.Count("GetToken"))
		}
		server.Inject(refuse)
		for n := range 70 {
			ask(n+1, batch.ErrAuth)
			time.Sleep(time.Minute)
		}
		ask(71, batch.ErrAuth)
		time.Sleep(59 * time.Second)
		ask(71, batch.ErrAuth)
		server.Heal()
		time.Sleep(time.Second)
		ask(72, "")
		time.Sleep(15 * time.Minute)
		server.Inject(refuse)
		ask(73, batch.ErrAuth)
		server.Heal()
		time.Sleep(time.Second)
		ask(74, "")
	})
}

// Row 98: a clock that is wrong here does not matter where the service tells
// the time.
func TestRow98TheLifeOfATokenIsMeasuredByTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{InMemory: true})
		defer server.Close()
		server.Clock.Advance(-time.Hour) // Seen from here, its tokens have expired when they come.
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		for range 3 {
			_, err := client.Accounts(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, 1, server.Log.Count("GetToken"))
	})
}

func TestRedemptionsEndToEnd(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	client, err := sixdotfifty.NewRedemptions(server.RedemptionsConfig())
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx := t.Context()
	_, err = client.GetToken(ctx)
	require.NoError(t, err)
	accounts, err := client.Accounts(ctx)
	require.NoError(t, err)
	start := func(reference string) *sixdotfifty.RedemptionsPayment {
		t.Helper()
		p, err := client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 10000, CurrencyCode: "DZAR",
			AccountID: accounts[0].ID, Reference: reference, CountryCode: "ZA"})
		require.NoError(t, err)
		require.Equal(t, sixdotfifty.RedemptionsInProgress, p.StatusCode)
		return p
	}
	paid, declined, failed, refunded := start("ref-1"), start("ref-2"), start("ref-3"), start("ref-4")
	require.Empty(t, server.Ledger.Effects(), "an initiated payment takes no money")
	server.Confirm(paid.ID)
	server.Decline(declined.ID)
	server.Fail(failed.ID, 2, 1)
	server.Confirm(refunded.ID)
	server.Refund(refunded.ID)
	for id, want := range map[string]sixdotfifty.RedemptionsStatus{paid.ID: sixdotfifty.RedemptionsPaid,
		declined.ID: sixdotfifty.RedemptionsCancelledByUser,
		failed.ID:   sixdotfifty.RedemptionsCancelled, refunded.ID: sixdotfifty.RedemptionsRefunded} {
		p, err := client.Payment(ctx, id)
		require.NoError(t, err)
		require.Equal(t, want, p.StatusCode)
		require.NotNil(t, p.CompletedAt)
	}
	found := list(t, client.Payments(ctx, sixdotfifty.PaymentsOptions{Reference: "ref-3"}))
	require.Len(t, found, 1)
	require.Equal(t, sixdotfifty.RedemptionsInsufficientFunds, found[0].ErrorCode)
	require.Equal(t, sixdotfifty.Text("Insufficient funds in account"), found[0].ErrorMessage)
	transactions := list(t, client.Transactions(ctx, accounts[0].ID, sixdotfifty.TransactionsOptions{}))
	require.Len(t, transactions, 3)
	require.Equal(t, sixdotfifty.Cents(10000), transactions[0].AmountDebit)
	accounts, err = client.Accounts(ctx)
	require.NoError(t, err)
	require.Equal(t, "100.00", accounts[0].Balance.String())

	before := server.Log.Count("")
	_, err = client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{CountryCode: "ZAF"})
	require.Equal(t, []string{"amount: must be positive", "currencyCode: is empty", "accountId: is empty",
		"reference: is empty",
		"countryCode: must be two capital letters"}, faultsOf(t, err))
	_, err = client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 1, CurrencyCode: "\xe9",
		AccountID: "\xe9", Reference: "\xe9", ReturnURL: "\xe9", CountryCode: "BW"})
	require.Equal(t, []string{"currencyCode: must be UTF-8", "accountId: must be UTF-8", "reference: must be UTF-8",
		"returnUrl: must be UTF-8"}, faultsOf(t, err))
	require.Equal(t, before, server.Log.Count(""))
	_, err = client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 1, CurrencyCode: "DZAR",
		AccountID: "another", Reference: "r", CountryCode: "ZA"})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "accountId")
	_, err = client.Payment(ctx, "unknown")
	require.ErrorIs(t, err, batch.ErrNotFound)

	server.Inject(batchsim.Fault{Op: "RedemptionsInitiatePayment", Nth: 1, Phase: batchsim.AfterApply,
		Act: batchsim.Reset})
	_, err = client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 1, CurrencyCode: "DZAR",
		AccountID: accounts[0].ID, Reference: "ref-5", CountryCode: "ZA"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Len(t, list(t, client.Payments(ctx, sixdotfifty.PaymentsOptions{Reference: "ref-5"})), 1,
		"the reference tells what became of it")

	for _, other := range []string{`"reference":"r","amount":"2"`, `"reference":"s","amount":"1"`} {
		server.Inject(on("RedemptionsInitiatePayment", reply(200, `{"id":"1","accountId":"`+accounts[0].ID+
			`","currencyCode":"DZAR","statusCode":0,"errorCode":0,`+other+`}`)))
		_, err = client.InitiatePayment(ctx, sixdotfifty.InitiatePaymentRequest{Amount: 1, CurrencyCode: "DZAR",
			AccountID: accounts[0].ID, Reference: "r", CountryCode: "ZA"})
		require.ErrorIs(t, err, batch.ErrAmbiguous, "a reply about another payment")
	}
}

// Lists are read page by page, whatever the service makes of skip and take.
func TestLongLists(t *testing.T) {
	for name, c := range map[string]struct {
		payments sixdotfiftytest.Payments
		items    int
		fails    bool
	}{
		"whole, 150":   {sixdotfiftytest.PaymentsWhole, 150, false},
		"whole, 999":   {sixdotfiftytest.PaymentsWhole, 999, false},
		"whole, 1,000": {sixdotfiftytest.PaymentsWhole, 1000, false},
		"whole, 1,001": {sixdotfiftytest.PaymentsWhole, 1001, false},
		"cut, 1,000":   {sixdotfiftytest.PaymentsCut, 1000, false},
		"cut, 1,500":   {sixdotfiftytest.PaymentsCut, 1500, true},
		"paged, 500":   {sixdotfiftytest.PaymentsPaged, 500, false},
		"paged, 1,000": {sixdotfiftytest.PaymentsPaged, 1000, false},
		"paged, 1,500": {sixdotfiftytest.PaymentsPaged, 1500, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := sixdotfiftytest.New(&sixdotfiftytest.Options{Payments: c.payments})
			t.Cleanup(server.Close)
			p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{})
			b, err := p.Create(t.Context(), newDraft(c.items))
			if c.fails {
				require.ErrorIs(t, err, batch.ErrProtocol)
				require.ErrorContains(t, err, "the draft is withdrawn")
				require.Zero(t, server.Log.Count("SubmitBatch"), "what cannot be read in full is never submitted")
				return
			}
			require.NoError(t, err)
			b, err = p.Submit(t.Context(), b)
			require.NoError(t, err)
			report, err := p.Report(t.Context(), b)
			require.NoError(t, err)
			require.Len(t, report.Results, c.items)
			require.Equal(t, batch.OutcomePaid, report.Results[c.items-1].Outcome)
		})
	}
}
