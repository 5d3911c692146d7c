package citypay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/internal/simkit"
)

// The documented replies, and a reply that says nothing.
func TestAccountSamples(t *testing.T) {
	all := samples(t)
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true})
		defer server.Close()
		client, err := citypay.New(server.Config())
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		answer := func(op, body string) {
			server.Heal()
			server.Inject(simkit.Fault{Op: op, Phase: simkit.AfterApply, Act: simkit.Answer, Reply: simkit.JSON(200, body)})
		}
		sampled := func(op, name string) { answer(op, string(all[name].Body)) }
		const account = "aaabbb-cccddd-eee"

		sampled("AccountExists", "account_exists.response")
		exists, err := client.AccountExists(t.Context(), account)
		require.NoError(t, err)
		require.Equal(t, &citypay.AccountExists{Exists: true, Active: "true", LastModified: "2020-01-02T18:32:28Z"}, exists)
		sampled("AccountExists", "account_exists_false.response")
		exists, err = client.AccountExists(t.Context(), account)
		require.NoError(t, err)
		require.Equal(t, &citypay.AccountExists{}, exists)
		for _, body := range []string{`{}`, `{"exists":null}`, `{"Exists":{"exists":true}}`} {
			answer("AccountExists", body)
			_, err = client.AccountExists(t.Context(), account)
			require.ErrorIs(t, err, batch.ErrProtocol, body)
		}

		sampled("RetrieveAccount", "account_retrieve.response")
		got, err := client.RetrieveAccount(t.Context(), account)
		require.NoError(t, err)
		want := &citypay.CardHolderAccount{AccountID: account, DateCreated: "2020-01-02T18:32:28Z", DefaultCardID: "c0ffee01",
			LastModified: "2020-01-02T18:32:28Z", Status: citypay.AccountActive, Cards: []citypay.Card{{CardID: "c0ffee01", CardStatus: citypay.CardActive,
				DateCreated: "2020-01-02T18:32:28Z", Default: "true", ExpMonth: 9, ExpYear: 2027, Label: "Visa/0002", Last4Digits: "0002", Scheme: "Visa"}}}
		require.NotContains(t, fmt.Sprintf("%+v %#v", got, *got), "ctPCAPy", "the token of a card is a credential")
		require.Equal(t, "ctPCAPyNyCkx3Ry8wGyv8khC3ch2hUSB3Db..Qzr", got.Cards[0].Token.Reveal())
		got.Cards[0].Token = citypay.Secret{}
		require.Equal(t, want, got)
		sampled("RetrieveAccount", "account_retrieve_wrapped_2020.response")
		_, err = client.RetrieveAccount(t.Context(), account)
		require.ErrorIs(t, err, batch.ErrProtocol)
		sampled("RetrieveAccount", "account_retrieve.response")
		_, err = client.RetrieveAccount(t.Context(), "another-account")
		require.ErrorContains(t, err, "about another account")

		sampled("ListMerchants", "merchants_list.response")
		merchants, err := client.ListMerchants(t.Context(), "PC12345")
		require.NoError(t, err)
		require.Equal(t, []citypay.Merchant{{Currency: "GBP", MerchantID: 11223344, Name: "Merchant 1", Status: "A", StatusLabel: "Active"}}, merchants.Merchants)
		answer("ListMerchants", `{}`)
		_, err = client.ListMerchants(t.Context(), "")
		require.ErrorIs(t, err, batch.ErrProtocol)
		for op, name := range map[string]string{"AccountExists": "account_exists.request", "RetrieveAccount": "account_retrieve.request", "ListMerchants": "merchants_list.request"} {
			require.Equal(t, all[name].Path, server.Log.Requests(op)[0].Path)
			require.Equal(t, all[name].Method, server.Log.Requests(op)[0].Method)
			require.Equal(t, json.RawMessage("null"), all[name].Body)
			require.Empty(t, server.Log.Requests(op)[0].Body)
		}
	})
}

func TestBadAccounts(t *testing.T) {
	server, client := startClient(t, nil)
	for _, account := range []string{"", "abcd", strings.Repeat("x", 51), "../../x", "acc ount"} {
		_, err := client.AccountExists(t.Context(), account)
		require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~"}, faultsOf(t, err))
		_, err = client.RetrieveAccount(t.Context(), account)
		require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~"}, faultsOf(t, err))
	}
	_, err := client.SetAccountStatus(t.Context(), "abcd", "active")
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~", "status: must be ACTIVE or DISABLED"}, faultsOf(t, err))
	_, err = client.SetCardStatus(t.Context(), "abcd", "../x", citypay.SetCardStatus{})
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~", "cardId: must be letters, digits and - _ . ~",
		"card_status: give a card_status, default, or both"}, faultsOf(t, err))
	_, err = client.SetCardStatus(t.Context(), "account-1", "c0ffee01", citypay.SetCardStatus{CardStatus: citypay.CardExpired})
	require.Equal(t, []string{"card_status: must be ACTIVE or INACTIVE"}, faultsOf(t, err))
	_, err = client.ListMerchants(t.Context(), "PC/../1")
	require.Equal(t, []string{"clientid: must be 3 to 10 of letters, digits and - _ . ~"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))
}

func TestACardIsGoodToTheEndOfItsMonth(t *testing.T) {
	at := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	for want, cards := range map[bool][]citypay.Card{
		true:  {{CardStatus: "ACTIVE", ExpMonth: 11, ExpYear: 2026}, {CardStatus: "ACTIVE", ExpMonth: 1, ExpYear: 2027}, {CardStatus: "ACTIVE"}},
		false: {{CardStatus: "ACTIVE", ExpMonth: 10, ExpYear: 2026}, {CardStatus: "ACTIVE", ExpMonth: 12, ExpYear: 2025}, {CardStatus: "INACTIVE", ExpMonth: 1, ExpYear: 2027}, {CardStatus: "active"}, {}},
	} {
		for _, card := range cards {
			require.Equal(t, want, card.Usable(at), "%+v", card)
		}
	}
	require.True(t, citypay.Card{CardStatus: "ACTIVE", ExpMonth: 11, ExpYear: 2026}.Usable(time.Date(2026, 12, 1, 1, 0, 0, 0, time.FixedZone("", 2*3600))), "by the time in UTC")
}

// With CheckAccounts, Submit names all items that could not be charged, and
// sends nothing; without it, it reads no account.
func TestSubmitChecksAccounts(t *testing.T) {
	o := &citypaytest.Options{UnknownAccounts: []string{"missing"}, DisabledAccounts: []string{"disabled"},
		CardlessAccounts: []string{"cardless"}, ExpiredAccounts: []string{"expired"}}
	server := citypaytest.New(o)
	t.Cleanup(server.Close)
	draft := func(accounts ...string) batch.Draft {
		d := newDraft(len(accounts))
		for n, account := range accounts {
			d.Items[n].Account, d.Items[n].Reference = account, fmt.Sprint("item-", n)
		}
		return d
	}
	submit := func(o citypay.ProviderConfig, d batch.Draft) (batch.Batch, error) {
		p := newProvider(t, server.Config(), o)
		b, err := p.Create(t.Context(), d)
		require.NoError(t, err)
		return p.Submit(t.Context(), b)
	}
	checked := citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP", CheckAccounts: true}
	b, err := submit(checked, draft("good-1", "missing", "disabled", "cardless", "expired", "missing"))
	require.Equal(t, []string{`item 1 ("item-1"): account: does not exist at CityPay`, `item 2 ("item-2"): account: has the status "DISABLED" at CityPay, not ACTIVE`,
		`item 3 ("item-3"): account: has no active card at CityPay that has not expired`, `item 4 ("item-4"): account: has no active card at CityPay that has not expired`,
		`item 5 ("item-5"): account: does not exist at CityPay`}, faultsOf(t, err))
	require.Equal(t, batch.StateDraft, b.State)
	require.Equal(t, 5, server.Log.Count("RetrieveAccount"), "one read for each account")

	eur := draft("good-1")
	eur.Items[0].Amount.Currency = "EUR"
	_, err = submit(citypay.ProviderConfig{MerchantID: 11223344, Currency: "EUR", CheckAccounts: true}, eur)
	require.Equal(t, []string{`Currency: is "EUR", and that of merchant 11223344 is "GBP"`}, faultsOf(t, err))
	_, err = submit(citypay.ProviderConfig{MerchantID: 7, Currency: "GBP", CheckAccounts: true}, draft("good-1"))
	require.Equal(t, []string{"MerchantID: 7 is not a merchant of client PC600001"}, faultsOf(t, err))
	server.Inject(simkit.Fault{Op: "ListMerchants", Nth: 1, Phase: simkit.AfterApply, Act: simkit.Answer,
		Reply: simkit.JSON(200, `{"merchants":[{"merchantid":11223344,"currency":"GBP","status":"C"}]}`)})
	_, err = submit(checked, draft("good-1"))
	require.Equal(t, []string{`MerchantID: 11223344 has the status "C" at CityPay, not A (active)`}, faultsOf(t, err))
	server.Inject(simkit.Fault{Op: "RetrieveAccount", Nth: 1, Phase: simkit.AfterApply, Act: simkit.Answer, Reply: simkit.JSON(422, `{"code":"P049"}`)})
	_, err = submit(checked, draft("good-1"))
	require.Equal(t, []string{`item 0 ("item-0"): account: is not active at CityPay`}, faultsOf(t, err))
	for _, op := range []string{"ListMerchants", "RetrieveAccount"} {
		server.Inject(simkit.Fault{Op: op, Nth: 1, Phase: simkit.AfterApply, Act: simkit.Answer, Reply: simkit.JSON(422, `{"code":"S003"}`)})
		b, err = submit(checked, draft("good-1"))
		require.ErrorIs(t, err, batch.ErrAuth, op)
		require.Equal(t, batch.StateDraft, b.State)
	}
	require.Zero(t, server.Log.Count("ProcessBatch"), "nothing was sent")

	b, err = submit(checked, draft("good-1", "good-2", "good-1"))
	require.NoError(t, err)
	require.Equal(t, batch.StatePending, b.State)
	before := server.Log.Count("RetrieveAccount")
	d := draft("disabled", "cardless", "expired")
	_, err = submit(citypay.ProviderConfig{}, d)
	require.NoError(t, err)
	require.Equal(t, before, server.Log.Count("RetrieveAccount"))
	server.FinishAll()
	report, err := newProvider(t, server.Config(), citypay.ProviderConfig{}).Report(t.Context(),
		batch.Batch{Provider: "citypay", ID: d.Reference, Draft: d, State: batch.StateDone})
	require.NoError(t, err)
	require.Equal(t, 3, report.Totals[batch.OutcomeFailed].Count, "the simulator charges none of these")
}

// A change is sent once under every fault, what is said of it is true, and a
// read tells what became of it.
func TestAChangeIsSentOnce(t *testing.T) {
	faults := []simkit.Scenario{"", simkit.Refused, simkit.Unauthorized, simkit.LostBefore, simkit.LostAfter, simkit.ErrorBefore, simkit.ErrorAfter,
		simkit.GarbledAfter, simkit.TruncatedAfter, simkit.EchoedAfter, simkit.Redirected, simkit.Unavailable, simkit.SilentBefore, simkit.SilentAfter}
	for op, change := range map[string]func(*testing.T, *citypay.Client) error{
		"SetAccountStatus": func(t *testing.T, c *citypay.Client) error {
			_, err := c.SetAccountStatus(t.Context(), "account-1", citypay.AccountDisabled)
			return err
		},
		"SetCardStatus": func(t *testing.T, c *citypay.Client) error {
			_, err := c.SetCardStatus(t.Context(), "account-1", "c0ffee01", citypay.SetCardStatus{CardStatus: citypay.CardInactive})
			return err
		},
	} {
		for _, fault := range faults {
			t.Run(op+" "+string(fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := citypaytest.New(&citypaytest.Options{InMemory: true})
					defer server.Close()
					client, err := citypay.New(server.Config())
					require.NoError(t, err)
					defer client.CloseIdleConnections()
					if fault != "" {
						server.Kit.Break(op, fault, simkit.JSON(422, `{"code":"P045"}`), simkit.JSON(422, `{"code":"S008"}`))
					}
					err = change(t, client)
					require.LessOrEqual(t, server.Log.Count(op), 1)
					account, readErr := client.RetrieveAccount(t.Context(), "account-1")
					require.NoError(t, readErr)
					changed := account.Status == citypay.AccountDisabled || account.Cards[0].CardStatus == citypay.CardInactive
					switch kind := batch.KindOf(err); {
					case err == nil:
						require.True(t, changed)
					case kind != batch.ErrAmbiguous:
						require.False(t, changed, "%v", err)
					}
					want := map[simkit.Scenario]batch.Kind{"": "", simkit.Refused: batch.ErrInvalid, simkit.Unauthorized: batch.ErrAuth}
					if kind, sure := want[fault]; sure {
						require.Equal(t, kind, batch.KindOf(err))
					} else {
						require.ErrorIs(t, err, batch.ErrAmbiguous)
					}
				})
			})
		}
	}
}

// What each code of an acknowledgement means for a change.
func TestAcknowledgements(t *testing.T) {
	server, client := startClient(t, nil)
	for body, want := range map[string]batch.Kind{`{"code":"001"}`: "", `{"code":"000"}`: batch.ErrInvalid, `{"code":"P043"}`: batch.ErrInvalid,
		`{"code":"S003"}`: batch.ErrAuth, `{"code":"F001"}`: batch.ErrAmbiguous, `{"code":"D101"}`: batch.ErrAmbiguous, `{}`: batch.ErrAmbiguous,
		`{"code":1}`: batch.ErrAmbiguous, `{"code":"01"}`: batch.ErrAmbiguous, `null`: batch.ErrAmbiguous, `{"Acknowledgement":{"code":"001"}}`: batch.ErrAmbiguous} {
		server.Heal()
		server.Inject(simkit.Fault{Op: "SetAccountStatus", Nth: 1, Phase: simkit.BeforeApply, Act: simkit.Answer, Reply: simkit.JSON(200, body)})
		_, err := client.SetAccountStatus(t.Context(), "account-1", citypay.AccountActive)
		require.Equal(t, want, batch.KindOf(err), body)
	}
}
