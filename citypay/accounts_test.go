package citypay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
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
			server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, body)})
		}
		sampled := func(op, name string) { answer(op, string(all[name].Body)) }
		const account = "aaabbb-cccddd-eee"

		sampled("AccountExists", "account_exists.response")
		exists, err := client.AccountExists(t.Context(), account)
		require.NoError(t, err)
		require.Equal(t, &citypay.AccountExists{Exists: true, Active: "true", LastModified: "2020-01-02T18:32:28Z"},
			exists)
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
		want := &citypay.CardHolderAccount{AccountID: account, DateCreated: "2020-01-02T18:32:28Z",
			DefaultCardID: "c0ffee01",
			LastModified:  "2020-01-02T18:32:28Z", Status: citypay.AccountActive,
			Cards: []citypay.Card{{CardID: "c0ffee01", CardStatus: citypay.CardActive,
				DateCreated: "2020-01-02T18:32:28Z", Default: "true", ExpMonth: 9, ExpYear: 2027, Label: "Visa/0002",
				Last4Digits: "0002", Scheme: "Visa"}}}
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
		require.Equal(t, []citypay.Merchant{{Currency: "GBP", MerchantID: 11223344, Name: "Merchant 1", Status: "A",
			StatusLabel: "Active"}}, merchants.Merchants)
		answer("ListMerchants", `{}`)
		_, err = client.ListMerchants(t.Context(), "")
		require.ErrorIs(t, err, batch.ErrProtocol)
		for op, name := range map[string]string{"AccountExists": "account_exists.request",
			"RetrieveAccount": "account_retrieve.request", "ListMerchants": "merchants_list.request"} {
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
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~",
		"status: must be ACTIVE or DISABLED"}, faultsOf(t, err))
	_, err = client.SetCardStatus(t.Context(), "abcd", "../x", citypay.SetCardStatus{})
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~",
		"cardId: must be letters, digits and - _ . ~",
		"card_status: give a card_status, default, or both"}, faultsOf(t, err))
	_, err = client.SetCardStatus(t.Context(), "account-1", "c0ffee01",
		citypay.SetCardStatus{CardStatus: citypay.CardExpired})
	require.Equal(t, []string{"card_status: must be ACTIVE or INACTIVE"}, faultsOf(t, err))
	_, err = client.ListMerchants(t.Context(), "PC/../1")
	require.Equal(t, []string{"clientid: must be 3 to 10 of letters, digits and - _ . ~"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))
}

func TestACardIsGoodToTheEndOfItsMonth(t *testing.T) {
	at := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	for want, cards := range map[bool][]citypay.Card{
		true: {{CardStatus: "ACTIVE", ExpMonth: 11, ExpYear: 2026}, {CardStatus: "ACTIVE", ExpMonth: 1, ExpYear: 2027},
			{CardStatus: "ACTIVE"}},
		false: {{CardStatus: "ACTIVE", ExpMonth: 10, ExpYear: 2026},
			{CardStatus: "ACTIVE", ExpMonth: 12, ExpYear: 2025}, {CardStatus: "INACTIVE", ExpMonth: 1, ExpYear: 2027},
			{CardStatus: "active"}, {}},
	} {
		for _, card := range cards {
			require.Equal(t, want, card.Usable(at), "%+v", card)
		}
	}
	require.True(t, citypay.Card{CardStatus: "ACTIVE", ExpMonth: 11, ExpYear: 2026}.Usable(time.Date(2026, 12, 1, 1, 0,
		0, 0, time.FixedZone("", 2*3600))), "by the time in UTC")
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
	require.Equal(t, []string{`item 1 ("item-1"): account: does not exist at CityPay`,
		`item 2 ("item-2"): account: has the status "DISABLED" at CityPay, not ACTIVE`,
		`item 3 ("item-3"): account: has no active card at CityPay that has not expired`,
		`item 4 ("item-4"): account: has no active card at CityPay that has not expired`,
		`item 5 ("item-5"): account: does not exist at CityPay`}, faultsOf(t, err))
	require.Equal(t, batch.StateDraft, b.State)
	require.Equal(t, 5, server.Log.Count("RetrieveAccount"), "one read for each account")

	eur := draft("good-1")
	eur.Items[0].Amount.Currency = "EUR"
	_, err = submit(citypay.ProviderConfig{MerchantID: 11223344, Currency: "EUR", CheckAccounts: true}, eur)
	require.Equal(t, []string{`Currency: is "EUR", and that of merchant 11223344 is "GBP"`}, faultsOf(t, err))
	_, err = submit(citypay.ProviderConfig{MerchantID: 7, Currency: "GBP", CheckAccounts: true}, draft("good-1"))
	require.Equal(t, []string{"MerchantID: 7 is not a merchant of client PC600001"}, faultsOf(t, err))
	server.Inject(batchsim.Fault{Op: "ListMerchants", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, `{"merchants":[{"merchantid":11223344,"currency":"GBP","status":"C"}]}`)})
	_, err = submit(checked, draft("good-1"))
	require.Equal(t, []string{`MerchantID: 11223344 has the status "C" at CityPay, not A (active)`}, faultsOf(t, err))
	server.Inject(batchsim.Fault{Op: "RetrieveAccount", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(422, `{"code":"P049"}`)})
	_, err = submit(checked, draft("good-1"))
	require.Equal(t, []string{`item 0 ("item-0"): account: is not active at CityPay`}, faultsOf(t, err))
	for _, op := range []string{"ListMerchants", "RetrieveAccount"} {
		server.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(422, `{"code":"S003"}`)})
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

// changes are the operations on accounts that are sent at most once.
var changes = map[string]func(*testing.T, *citypay.Client) error{
	"SetAccountStatus": func(t *testing.T, c *citypay.Client) error {
		_, err := c.SetAccountStatus(t.Context(), "account-1", citypay.AccountDisabled)
		return err
	},
	"SetCardStatus": func(t *testing.T, c *citypay.Client) error {
		_, err := c.SetCardStatus(t.Context(), "account-1", "c0ffee01",
			citypay.SetCardStatus{CardStatus: citypay.CardInactive})
		return err
	},
	"CreateAccount": func(t *testing.T, c *citypay.Client) error {
		_, err := c.CreateAccount(t.Context(), citypay.CreateAccountRequest{AccountID: "account-2",
			Contact: &citypay.Contact{LastName: "Smith"}})
		return err
	},
	"UpdateContact": func(t *testing.T, c *citypay.Client) error {
		_, err := c.UpdateContact(t.Context(), "account-1", citypay.Contact{LastName: "Smythe"})
		return err
	},
	"DeleteAccount": func(t *testing.T, c *citypay.Client) error {
		_, err := c.DeleteAccount(t.Context(), "account-1")
		return err
	},
	"RegisterCard": func(t *testing.T, c *citypay.Client) error {
		_, err := c.RegisterCard(t.Context(), "account-1", goodCard())
		return err
	},
	"DeleteCard": func(t *testing.T, c *citypay.Client) error {
		_, err := c.DeleteCard(t.Context(), "account-1", "c0ffee01", true)
		return err
	},
}

// A change is sent once under every fault, what is said of it is true, and a
// read tells what became of it.
func TestAChangeIsSentOnce(t *testing.T) {
	for op, change := range changes {
		for _, fault := range onceFaults {
			t.Run(op+" "+string(fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := citypaytest.New(&citypaytest.Options{InMemory: true,
						UnknownAccounts: []string{"account-2"}})
					defer server.Close()
					client, err := citypay.New(server.Config())
					require.NoError(t, err)
					defer client.CloseIdleConnections()
					before := accountNow(t, server, client)
					if fault != "" {
						server.Kit.Break(op, fault, batchsim.JSON(422, `{"code":"P045"}`),
							batchsim.JSON(422, `{"code":"S008"}`))
					}
					err = change(t, client)
					require.LessOrEqual(t, server.Log.Count(op), 1)
					changed := accountNow(t, server, client) != before
					if strings.HasSuffix(string(fault), " after") {
						require.True(t, changed, "what happened can be seen")
					}
					switch kind := batch.KindOf(err); {
					case err == nil:
						require.True(t, changed)
					case kind != batch.ErrAmbiguous:
						require.False(t, changed, "%v", err)
					}
					want := map[batchsim.Scenario]batch.Kind{"": "", batchsim.Refused: batch.ErrInvalid,
						batchsim.Unauthorized: batch.ErrAuth}
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

// accountNow is what can be read of the two accounts, without the tokens. It
// also has the names of the contacts, which the client does not keep.
func accountNow(t *testing.T, server *citypaytest.Server, client *citypay.Client) string {
	t.Helper()
	var now string
	for _, id := range []string{"account-1", "account-2"} {
		exists, err := client.AccountExists(t.Context(), id)
		require.NoError(t, err)
		now += fmt.Sprint(exists.Exists, server.LastName(id))
		if !exists.Exists {
			continue
		}
		account, err := client.RetrieveAccount(t.Context(), id)
		require.NoError(t, err)
		now += fmt.Sprintf("%+v", account)
	}
	return now
}

// goodCard is a test card of CityPay.
func goodCard() citypay.RegisterCardRequest {
	return citypay.RegisterCardRequest{CardNumber: citypay.NewSecret("4659 0100 0000 0005"), ExpMonth: 9, ExpYear: 2099}
}

// What CityPay would refuse of a card is refused here, all of it at once, and
// the number is in no error.
func TestBadCards(t *testing.T) {
	server, client := startClient(t, nil)
	const short, check = "cardnumber: must be 12 to 19 digits, with spaces at most 22 characters",
		"cardnumber: has a wrong check digit"
	register := func(change func(*citypay.RegisterCardRequest)) []string {
		r := goodCard()
		change(&r)
		_, err := client.RegisterCard(t.Context(), "account-1", r)
		if number := r.CardNumber.Reveal(); len(number) > 1 {
			require.NotContains(t, err.Error(), number)
		}
		return faultsOf(t, err)
	}
	for number, want := range map[string]string{"4659010000000006": check, "4659 0100 0000 0050": check,
		"40000000000": short, "4000-0000-0000-0002": short,
		"40000000000000000002": short, "4000 0000 0000 0002 000 ": short, "٤000000000000002": short,
		"4000000000000002\n": short, " ": short, "x": short} {
		require.Equal(t, []string{want}, register(func(r *citypay.RegisterCardRequest) {
			r.CardNumber = citypay.NewSecret(number)
		}), "%q", number)
	}
	now := time.Now().UTC()
	last := now.AddDate(0, 0, -now.Day()) // the last day of the month before
	require.Equal(t, []string{"expyear: the card has expired"},
		register(func(r *citypay.RegisterCardRequest) { r.ExpMonth, r.ExpYear = int(last.Month()), last.Year() }))
	require.Equal(t, []string{"expmonth: must be 1 to 12"},
		register(func(r *citypay.RegisterCardRequest) { r.ExpMonth = 13 }))
	require.Equal(t, []string{"expyear: must be 2000 to 2100"},
		register(func(r *citypay.RegisterCardRequest) { r.ExpYear = 2101 }))
	for _, bad := range []string{"x", strings.Repeat("x", 46)} {
		require.Equal(t, []string{"name_on_card: must have 2 to 45 characters"},
			register(func(r *citypay.RegisterCardRequest) { r.NameOnCard = bad }))
	}
	_, err := client.RegisterCard(t.Context(), "abcd", citypay.RegisterCardRequest{NameOnCard: "x"})
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~", short,
		"expmonth: must be 1 to 12",
		"expyear: must be 2000 to 2100", "name_on_card: must have 2 to 45 characters"}, faultsOf(t, err))
	_, err = client.DeleteCard(t.Context(), "abcd", "../x", false)
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~",
		"cardId: must be letters, digits and - _ . ~"}, faultsOf(t, err))
	_, err = client.DeleteAccount(t.Context(), "")
	require.Equal(t, []string{"accountid: must be 5 to 50 of letters, digits and - _ . ~"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))

	// The documented test cards, a card of this month and the limits are good.
	for _, number := range []string{"4000 0000 0000 0002", "4659010000000005", "5100 0000 0000 0008",
		"5573 4700 0000 0001", "3743 871880 19714",
		"3014 445396 5469", "3528 0000 0000 0007", "6333 1100 0000 0002", "4508 7500 0000 0009", "4857 7900 0000 0002",
		"5525864776075446"} {
		_, err := client.RegisterCard(t.Context(), "account-1",
			citypay.RegisterCardRequest{CardNumber: citypay.NewSecret(number),
				ExpMonth: int(now.Month()), ExpYear: now.Year(), NameOnCard: strings.Repeat("é", 45)})
		require.NoError(t, err, number)
	}
}

func TestBadContacts(t *testing.T) {
	server, client := startClient(t, nil)
	long := strings.Repeat("é", 51)
	bad := citypay.Contact{Address1: long, Address2: long, Address3: long, Area: long, Company: long, Country: "gb",
		Email:    strings.Repeat("x", 255),
		MobileNo: strings.Repeat("1", 21), Postcode: strings.Repeat("x", 17), TelephoneNo: strings.Repeat("1", 21)}
	want := func(in string) (faults []string) {
		for _, f := range strings.Fields("address1=50 address2=50 address3=50 area=50 company=50 email=254 mobile_no=20 postcode=16 telephone_no=20") {
			field, most, _ := strings.Cut(f, "=")
			faults = append(faults, in+field+": must have at most "+most+" characters")
		}
		return append(faults, in+"country: must be two capital letters")
	}
	const id = ": must be 5 to 50 of letters, digits and - _ . ~"
	_, err := client.CreateAccount(t.Context(), citypay.CreateAccountRequest{AccountID: "a/b", Contact: &bad})
	require.Equal(t, append([]string{"account_id" + id}, want("contact.")...), faultsOf(t, err))
	_, err = client.UpdateContact(t.Context(), "a/b", bad)
	require.Equal(t, append([]string{"accountid" + id}, want("")...), faultsOf(t, err))
	_, err = client.UpdateContact(t.Context(), "account-1", citypay.Contact{})
	require.Equal(t, []string{"contact: give at least one field"}, faultsOf(t, err))
	require.Zero(t, server.Log.Count(""))
	most := strings.Repeat("é", 50)
	_, err = client.UpdateContact(t.Context(), "account-1", citypay.Contact{Address1: most, Company: most,
		Country: "GB", MobileNo: most[:40], Postcode: most[:32]})
	require.NoError(t, err, "the limits themselves are good")
	_, err = client.CreateAccount(t.Context(), citypay.CreateAccountRequest{AccountID: "account-1"})
	require.ErrorIs(t, err, batch.ErrConflict, "it exists already")
}

// The documented requests are sent, and the documented replies are understood.
func TestSamplesOfAccountChanges(t *testing.T) {
	all := samples(t)
	contact := citypay.Contact{Address1: "79 Parliament St", Address2: "Westminster", Area: "London",
		Company: "Acme Ltd", Country: "GB", Email: "card.holder@citypay.com",
		FirstName: "John", LastName: "Smith", MobileNo: "+447790123456", Postcode: "L1 789",
		TelephoneNo: "+442030123456", Title: "Mr"}
	const account = "aaabbb-cccddd-eee"
	for op, c := range map[string]struct {
		sample string
		call   func(*citypay.Client) (any, error)
	}{
		"CreateAccount": {"account_create", func(c *citypay.Client) (any, error) {
			return c.CreateAccount(t.Context(), citypay.CreateAccountRequest{AccountID: account, Contact: &contact})
		}},
		"UpdateContact": {"account_contact", func(c *citypay.Client) (any, error) {
			moved := contact
			moved.Address1 = "Seven Esplanade"
			return c.UpdateContact(t.Context(), account, moved)
		}},
		"DeleteAccount": {"account_delete", func(c *citypay.Client) (any, error) {
			return c.DeleteAccount(t.Context(), account)
		}},
		"DeleteCard": {"card_delete", func(c *citypay.Client) (any, error) {
			return c.DeleteCard(t.Context(), account, "c0ffee01", false)
		}},
		"RegisterCard": {"card_register", func(c *citypay.Client) (any, error) {
			return c.RegisterCard(t.Context(), account,
				citypay.RegisterCardRequest{CardNumber: citypay.NewSecret("4000 0000 0000 0002"), Default: true,
					ExpMonth: 9, ExpYear: 2027, NameOnCard: "MR NE BODY"})
		}},
	} {
		t.Run(op, func(t *testing.T) {
			server, client := startClient(t, nil)
			answer := func(body string) {
				server.Inject(batchsim.Fault{Op: op, Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
					Reply: batchsim.JSON(200, body)})
			}
			answer(string(all[c.sample+".response"].Body))
			got, err := c.call(client)
			require.NoError(t, err)
			request := all[c.sample+".request"]
			sent := server.Log.Requests(op)[0]
			require.Equal(t, request.Method+" "+request.Path, sent.Method+" "+sent.Path)
			if request.Method == "DELETE" {
				require.Empty(t, sent.Body)
				require.Equal(t, map[string]string{"DeleteCard": "force=false"}[op], sent.Query)
			} else {
				require.Empty(t, cmp.Diff(withoutEmpty(t, request.Body), withoutEmpty(t, sent.Body)))
			}
			if whole, ok := got.(*citypay.CardHolderAccount); ok {
				require.Equal(t, account, whole.AccountID)
				answer(strings.ReplaceAll(string(all[c.sample+".response"].Body), account, "another-account"))
				_, err = c.call(client)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.ErrorContains(t, err, "about another account")
			}
		})
	}
}

// logged opens a client that logs all that it does.
func logged(t *testing.T) (*citypaytest.Server, *citypay.Client, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	config := server.Config()
	config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := citypay.New(config)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return server, client, log
}

// No error, log, print or encoding shows the number of a card, whatever CityPay
// echoes.
func TestACardShowsNoNumber(t *testing.T) {
	server, client, log := logged(t)
	r := goodCard()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	shown := fmt.Sprintf("%s %v %+v %#v %v", text, r, r, r, &r)
	spellings := []string{"4659 0100 0000 0005", "4659010000000005", "4659-0100-0000-0005"}
	for _, spelling := range spellings {
		for _, reply := range []batchsim.Reply{batchsim.JSON(422, fmt.Sprintf(`{"code":"C002","message":"card %s","context":"%s"}`, spelling, spelling)),
			batchsim.JSON(200, fmt.Sprintf(`{"%s":1,"%s":2}`, spelling, spelling)), batchsim.JSON(500, spelling),
			{Status: 307, Header: map[string][]string{"Location": {"https://" + spelling}}}} {
			server.Inject(batchsim.Fault{Op: "RegisterCard", Nth: 1, Phase: batchsim.BeforeApply,
				Act: batchsim.Answer, Reply: reply})
			_, err := client.RegisterCard(t.Context(), "account-1", r)
			require.Error(t, err)
			text, marshalErr := json.Marshal(err)
			require.NoError(t, marshalErr)
			shown += fmt.Sprintf("%v %+v %#v %s\n", err, err, err, text)
		}
	}
	server.Inject(batchsim.Fault{Op: "RegisterCard", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Echo})
	_, err = client.RegisterCard(t.Context(), "account-1", r)
	shown += err.Error() + log.String()
	for _, spelling := range spellings {
		require.NotContains(t, shown, spelling)
	}
	account, err := client.RegisterCard(t.Context(), "account-1", r)
	require.NoError(t, err)
	require.Len(t, account.Cards, 2)
	require.Equal(t, citypay.Text("0005"), account.Cards[1].Last4Digits)
}

// What each code of an acknowledgement means for a change.
func TestAcknowledgements(t *testing.T) {
	server, client := startClient(t, nil)
	for body, want := range map[string]batch.Kind{`{"code":"001"}`: "", `{"code":"000"}`: batch.ErrInvalid,
		`{"code":"P043"}`: batch.ErrInvalid,
		`{"code":"S003"}`: batch.ErrAuth, `{"code":"F001"}`: batch.ErrAmbiguous, `{"code":"D101"}`: batch.ErrAmbiguous,
		`{}`:         batch.ErrAmbiguous,
		`{"code":1}`: batch.ErrAmbiguous, `{"code":"01"}`: batch.ErrAmbiguous, `null`: batch.ErrAmbiguous,
		`{"Acknowledgement":{"code":"001"}}`: batch.ErrAmbiguous} {
		server.Heal()
		server.Inject(batchsim.Fault{Op: "SetAccountStatus", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, body)})
		_, err := client.SetAccountStatus(t.Context(), "account-1", citypay.AccountActive)
		require.Equal(t, want, batch.KindOf(err), body)
	}
}
