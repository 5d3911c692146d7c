package citypay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

const sampleKey = "3MEcU8cEfxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxQMeebACxcQVejmT1Wi"

func sampleChannel() citypay.CreateChannelRequest {
	return citypay.CreateChannelRequest{ChannelName: "ops", ClientID: "PC12345", EndpointID: "http",
		Config: citypay.ChannelConfig{ConnectTimeout: 10000,
			ContentType: "application/json", Method: "POST", ReadTimeout: 10000, URL: "https://yoursite.com/path"}}
}

// access are the operations on keys, addresses and hooks, each with its samples
// and a reply that says nothing of what was made.
var access = map[string]struct {
	sample string
	call   func(context.Context, *citypay.Client) (any, error)
}{
	"RegisterTempIP": {"register_temp_ip", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.RegisterTempIP(ctx, "8.8.8.8", time.Unix(1751218362, 0))
	}},
	"GenerateDomainKey": {"domain_key_gen", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.GenerateDomainKey(ctx, citypay.GenerateDomainKeyRequest{Domains: []string{"example.com"},
			MerchantID: 11223344})
	}},
	"CheckDomainKey": {"domain_key_check", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.CheckDomainKey(ctx, citypay.NewSecret(sampleKey))
	}},
	"CreateChannel": {"webhook_channel_create", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.CreateChannel(ctx, sampleChannel())
	}},
	"DeleteChannel": {"webhook_channel_delete", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.DeleteChannel(ctx, "wc_0001")
	}},
	"Subscribe": {"webhook_subscribe", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.Subscribe(ctx, citypay.SubscribeRequest{Channels: []string{"wc_0001"}, ClientID: "PC12345",
			MerchantIDs: []int64{11223344}})
	}},
	"Unsubscribe": {"webhook_unsubscribe", func(ctx context.Context, c *citypay.Client) (any, error) {
		return c.Unsubscribe(ctx, "PC12345", "wh_0001")
	}},
}

// The documented requests are sent once, the documented replies are understood,
// and every other reply leaves open what was made.
func TestAccessSamples(t *testing.T) {
	all := samples(t)
	for op, c := range access {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Unix(1751200000, 0))) // before the sample's exp
				server, client := startClient(t, &citypaytest.Options{InMemory: true})
				answer := func(reply batchsim.Reply) (any, error) {
					server.Heal()
					server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply,
						Act: batchsim.Answer, Reply: reply})
					return c.call(t.Context(), client)
				}
				body := string(all[c.sample+".response"].Body)
				got, err := answer(batchsim.JSON(200, body))
				require.NoError(t, err)
				text, err := json.Marshal(got)
				require.NoError(t, err)
				want := forMachines(t, all[c.sample+".response"].Body).(map[string]any)
				delete(want, "config")     // not kept: it can hold credentials
				delete(want, "domain_key") // never encoded
				require.Empty(t, cmp.Diff(any(want), forMachines(t, text)))
				request, sent := all[c.sample+".request"], server.Log.Requests(op)[0]
				require.Equal(t, request.Method+" "+request.Path, sent.Method+" "+sent.Path)
				require.Empty(t, cmp.Diff(canonical(t, request.Body), canonical(t, sent.Body)))
				if key, ok := got.(*citypay.DomainKey); ok {
					require.Equal(t, sampleKey, key.DomainKey.Reveal())
					require.NotContains(t, fmt.Sprintf("%v %+v %#v", key, *key, *key), sampleKey)
				}

				doubt := map[string]batch.Kind{"CheckDomainKey": batch.ErrProtocol}[op]
				if doubt == "" {
					doubt = batch.ErrAmbiguous
				}
				for _, bad := range []string{``, `null`, `[]`, `{}`, `{"code":"F001"}`, `{"code":1}`,
					`{"web_channel_id":1,"web_hook_id":1}`, `{"domain":[],"merchantid":11223344}`,
					`{"domain":["example.com"],"merchantid":null}`, strings.ReplaceAll(body, "11223344", "1") + "{}"} {
					_, err := answer(batchsim.JSON(200, bad))
					require.ErrorIs(t, err, doubt, bad)
				}
				_, err = answer(batchsim.JSON(422, `{"code":"P045","message":"m"}`))
				require.ErrorIs(t, err, batch.ErrInvalid)
				before := server.Log.Count(op)
				_, err = answer(batchsim.Reply{Status: 503})
				if op == "CheckDomainKey" {
					require.ErrorIs(t, err, batch.ErrUnavailable)
					require.Greater(t, server.Log.Count(op), before+1, "a read is repeated")
					return
				}
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.Equal(t, before+1, server.Log.Count(op))
			})
		})
	}
}

// What a key, an address or a hook is for is made once under every fault, and what
// is said of it is true. CityPay lists none of it: the simulator shows what it has.
func TestAccessIsSentOnce(t *testing.T) {
	for op, c := range access {
		if op == "CheckDomainKey" {
			continue
		}
		for _, fault := range onceFaults {
			t.Run(op+" "+string(fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Until(time.Unix(1751200000, 0))) // before the sample's exp
					server, client := startClient(t, &citypaytest.Options{InMemory: true})
					call := c.call
					if op == "DeleteChannel" || op == "Subscribe" || op == "Unsubscribe" {
						_, err := client.CreateChannel(t.Context(), sampleChannel())
						require.NoError(t, err)
					}
					if op == "Unsubscribe" {
						hook, err := access["Subscribe"].call(t.Context(), client)
						require.NoError(t, err)
						call = func(ctx context.Context, c *citypay.Client) (any, error) {
							return c.Unsubscribe(ctx, "PC12345", hook.(*citypay.Subscription).WebHookID)
						}
					}
					before := server.Made()
					if fault != "" {
						server.Kit.Break(op, fault, batchsim.JSON(422, `{"code":"P045"}`),
							batchsim.JSON(422, `{"code":"S008"}`))
					}
					sent := server.Log.Count(op)
					_, err := call(t.Context(), client)
					require.Equal(t, sent+1, server.Log.Count(op), "it is sent once")
					kind, sure := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}[fault]
					if !sure {
						kind = batch.ErrAmbiguous
					}
					require.Equal(t, kind, batch.KindOf(err), "%v", err)
					applied := fault == "" || strings.HasSuffix(string(fault), " after")
					require.Equal(t, applied, server.Made() != before, "what happened can be seen")
				})
			})
		}
	}
}

// No operation that is sent once is missing from the tables of faults. ProcessBatch
// is in that of the conformance suite.
func TestOnceIsWhole(t *testing.T) {
	for _, op := range citypay.Operations {
		_, pays := payments[op.Name]
		_, changed := changes[op.Name]
		_, opens := access[op.Name]
		tried := pays || changed || opens && op.Name != "CheckDomainKey" || op.Name == "ProcessBatch"
		require.Equal(t, op.Safety == batchhttp.Once, tried, op.Name)
	}
}

func TestBadAccess(t *testing.T) {
	server, client := startClient(t, nil)
	const client310 = "clientid: must be 3 to 10 of letters, digits and - _ . ~"
	for _, ip := range []string{"x", "::1", "256.1.1.1", "10.0.0.0/8"} {
		_, err := client.RegisterTempIP(t.Context(), ip, time.Now().Add(-time.Second))
		require.Equal(t,
			[]string{"ip: must be an IPv4 address", "exp: must be in the future, and at most 720 hours ahead"},
			faultsOf(t, err))
	}
	_, err := client.RegisterTempIP(t.Context(), "", time.Now().Add(721*time.Hour))
	require.Equal(t, []string{"exp: must be in the future, and at most 720 hours ahead"}, faultsOf(t, err))
	_, err = client.GenerateDomainKey(t.Context(), citypay.GenerateDomainKeyRequest{Nonce: "xyz"})
	require.Equal(t, []string{"domain: give at least one", "merchantid: must be 1 to 2147483647",
		"nonce: must be hexadecimal"}, faultsOf(t, err))
	_, err = client.GenerateDomainKey(t.Context(),
		citypay.GenerateDomainKeyRequest{Domains: []string{"example.com", "https://x"}, MerchantID: 1})
	require.Equal(t, []string{"domain[1]: must be a domain name"}, faultsOf(t, err))
	for _, key := range []string{"", strings.Repeat("k", 63), strings.Repeat("k", 513),
		strings.Repeat("k", 64) + "\n"} {
		_, err = client.CheckDomainKey(t.Context(), citypay.NewSecret(key))
		require.Equal(t, []string{"domain_key: must be 64 to 512 printable ASCII characters without spaces"},
			faultsOf(t, err))
	}
	_, err = client.CreateChannel(t.Context(),
		citypay.CreateChannelRequest{Config: citypay.ChannelConfig{ConnectTimeout: 999, ReadTimeout: 30_001,
			URL: "http://yoursite.com", Headers: map[string]citypay.Secret{"X A": citypay.NewSecret("v"),
				"X-B": citypay.NewSecret("v\r\nX: y"), "X-C": citypay.NewSecret("v")}}})
	require.Equal(t, []string{"channel_name: must be printable ASCII", client310,
		"endpoint_id: must be printable ASCII",
		"config.url: must be an https URL with a host, and without a user",
		"config.connect_timeout: must be 1000 to 30000 milliseconds",
		"config.read_timeout: must be 1000 to 30000 milliseconds",
		"config.headers[0]: must be a name and a value of a header",
		"config.headers[1]: must be a name and a value of a header"}, faultsOf(t, err))
	for _, bad := range []string{"", "https://", "https://a:b@yoursite.com", "//yoursite.com", "https://a b"} {
		r := sampleChannel()
		r.Config.URL = bad
		_, err = client.CreateChannel(t.Context(), r)
		require.Equal(t, []string{"config.url: must be an https URL with a host, and without a user"}, faultsOf(t, err))
	}
	_, err = client.Subscribe(t.Context(), citypay.SubscribeRequest{Channels: []string{""}, Triggers: []string{"\n"},
		MerchantIDs: []int64{0}})
	require.Equal(t, []string{client310, "channels[0]: must be printable ASCII", "triggers[0]: must be printable ASCII",
		"merchant_id[0]: must be 1 to 99999999"}, faultsOf(t, err))
	_, err = client.Unsubscribe(t.Context(), "", "")
	require.Equal(t, []string{client310, "web_hook_id: must be printable ASCII"}, faultsOf(t, err))
	_, err = client.DeleteChannel(t.Context(), "")
	require.Equal(t, []string{"channel_id: must be printable ASCII"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))
}

// A key of another merchant, or for other domains, is not the one that was asked
// for.
func TestAnotherDomainKey(t *testing.T) {
	all := samples(t)
	server, client := startClient(t, nil)
	body := string(all["domain_key_gen.response"].Body)
	for _, pair := range [][]string{{"11223344", "1"}, {"example.com", "example.org"}, {sampleKey, "short"},
		{`"domain_key"`, `"key"`}} {
		server.Inject(batchsim.Fault{Op: "GenerateDomainKey", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, strings.Replace(body, pair[0], pair[1], 1))})
		_, err := access["GenerateDomainKey"].call(t.Context(), client)
		require.ErrorIs(t, err, batch.ErrAmbiguous, "%v", pair)
	}
	server.Inject(batchsim.Fault{Op: "CheckDomainKey", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, strings.Replace(body, sampleKey, sampleKey+"x", 1))})
	_, err := access["CheckDomainKey"].call(t.Context(), client)
	require.ErrorIs(t, err, batch.ErrProtocol)
	server.Heal()
	server.Inject(batchsim.Fault{Op: "CheckDomainKey", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(422, fmt.Sprintf(`{"code":"P045","message":"bad key %s"}`, sampleKey))})
	_, err = access["CheckDomainKey"].call(t.Context(), client)
	require.ErrorContains(t, err, "bad key [redacted]")
}

// The simulator keeps what was made, under both codes of success; a header of a
// channel is in no error.
func TestAccessOfTheSimulator(t *testing.T) {
	for _, code := range []string{"", "000"} {
		server, client := startClient(t, &citypaytest.Options{AcceptedCode: code})
		r := sampleChannel()
		r.Config.Headers = map[string]citypay.Secret{"X-Key": citypay.NewSecret("a-secret-of-ours")}
		channel, err := client.CreateChannel(t.Context(), r)
		require.NoError(t, err)
		require.Contains(t, string(server.Log.Requests("CreateChannel")[0].Body),
			`"headers":{"X-Key":"a-secret-of-ours"}`)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprintf("%s %v %+v %#v", text, r, r, r), "a-secret-of-ours")
		server.Inject(batchsim.Fault{Op: "CreateChannel", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(422, `{"code":"P045","message":"a-secret-of-ours"}`)})
		_, err = client.CreateChannel(t.Context(), r)
		require.ErrorContains(t, err, "[redacted]")
		require.NotContains(t, err.Error(), "a-secret-of-ours")
		hook, err := client.Subscribe(t.Context(), citypay.SubscribeRequest{ClientID: "PC600001",
			Channels: []string{channel.WebChannelID}, Live: true})
		require.NoError(t, err)
		key, err := client.GenerateDomainKey(t.Context(),
			citypay.GenerateDomainKeyRequest{Domains: []string{"example.com"}, MerchantID: 1, Nonce: "00ff"})
		require.NoError(t, err)
		require.Equal(t, 3, server.Made())
		same, err := client.CheckDomainKey(t.Context(), key.DomainKey)
		require.NoError(t, err)
		require.Equal(t, key.DomainKey.Reveal(), same.DomainKey.Reveal())
		_, err = client.CheckDomainKey(t.Context(), citypay.NewSecret(strings.Repeat("k", 64)))
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = client.Unsubscribe(t.Context(), "PC600001", hook.WebHookID)
		require.NoError(t, err)
		_, err = client.DeleteChannel(t.Context(), channel.WebChannelID)
		require.NoError(t, err)
		_, err = client.DeleteChannel(t.Context(), channel.WebChannelID)
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = client.RegisterTempIP(t.Context(), "", time.Time{})
		require.NoError(t, err)
		require.JSONEq(t, `{}`, string(server.Log.Requests("RegisterTempIP")[0].Body))
		require.Equal(t, 2, server.Made(), "a key and an address")
	}
}
