package sixdotfifty_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

func referred(items int) batch.Draft {
	d := newDraft(items)
	d.Items[0].Extra = map[string]string{"firstname": "Ada", "referralAmount": "5.50", "referralMsisdn": "27821231236"}
	return d
}

// A referral is paid beside its item, whether the total of a batch counts it or
// not, and only where the service shows it exactly.
func TestReferrals(t *testing.T) {
	for _, counted := range []bool{false, true} {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{Referrals: true, ReferralsInTotal: counted})
		t.Cleanup(server.Close)
		p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true})
		require.Equal(t, "true", p.Info().Terms["referrals"])
		d := referred(2)
		b, err := p.Submit(t.Context(), create(t, p, d))
		require.NoError(t, err)
		var sent struct {
			Payments []struct{ ReferralAmount, ReferralMSISDN any }
		}
		require.NoError(t, json.Unmarshal(server.Log.Requests("AddPayments")[0].Body, &sent))
		require.InDelta(t, 5.5, sent.Payments[0].ReferralAmount, 0)
		require.Equal(t, "27821231236", sent.Payments[0].ReferralMSISDN)
		require.Nil(t, sent.Payments[1].ReferralAmount)
		report, err := p.Report(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
		require.Equal(t, 1, server.Ledger.Moved()[d.Items[0].Reference+"/referral"])
	}
}

// A referral that the service does not show as it was asked for is never
// submitted: it may be ignored, or paid to another person.
func TestReferralsThatDiffer(t *testing.T) {
	set := func(field string, value any) batchsim.Fault {
		return listed(func(list []map[string]any) []map[string]any {
			if list[0][field] = value; value == nil {
				delete(list[0], field)
			}
			return list
		})
	}
	for name, c := range map[string]struct {
		fault batchsim.Fault
		want  string
	}{
		"another amount": {set("referralAmount", 5.51), "referralAmount: is 5.51 at the service, and must be 5.50"},
		"none":           {set("referralAmount", nil), "referralAmount: is absent at the service, and must be 5.50"},
		"another number": {set("referralMsisdn", "27821231237"),
			"referralMsisdn: is another mobile number at the service"},
	} {
		t.Run(name, func(t *testing.T) {
			server := sixdotfiftytest.New(&sixdotfiftytest.Options{Referrals: true})
			t.Cleanup(server.Close)
			p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true})
			b := create(t, p, referred(2))
			server.Inject(c.fault)
			_, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.Equal(t, []string{fmt.Sprintf("item 0 (%q): %s", b.Draft.Items[0].Reference, c.want)},
				faultsOf(t, err))
			require.Zero(t, server.Log.Count("SubmitBatch"))
		})
	}
	server := sixdotfiftytest.New(nil) // Referrals are not enabled.
	t.Cleanup(server.Close)
	p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true})
	b, err := p.Create(t.Context(), referred(1))
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, batch.StateCanceled, b.State, "the draft is withdrawn")
}

func TestBadReferrals(t *testing.T) {
	server := sixdotfiftytest.New(nil)
	t.Cleanup(server.Close)
	p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true})
	const amount, both = "referralAmount must be a decimal above 0 with up to two places",
		"needs both referralAmount and referralMsisdn"
	for _, c := range []struct{ amount, msisdn, want string }{
		{"", "27821231236", both}, {"5", "", both}, {"0", "27821231236", amount}, {"-1", "27821231236", amount},
		{"1.005", "27821231236", amount},
		{"10000000000.01", "27821231236", amount}, {"x", "27821231236", amount},
		{"5", "+27821231236",
			"referralMsisdn must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"},
	} {
		d := newDraft(1)
		d.Items[0].Extra = map[string]string{"referralAmount": c.amount, "referralMsisdn": c.msisdn}
		for _, key := range []string{"referralAmount", "referralMsisdn"} {
			if d.Items[0].Extra[key] == "" {
				delete(d.Items[0].Extra, key)
			}
		}
		_, err := p.Create(t.Context(), d)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.Equal(t, []string{fmt.Sprintf("item 0 (%q): extra: %s", d.Items[0].Reference, c.want)},
			faultsOf(t, err))
	}
	require.Zero(t, server.Log.Count(""))
}

// A batch that another process has made is found with its items, and reported.
func TestFindItems(t *testing.T) {
	server := sixdotfiftytest.New(&sixdotfiftytest.Options{Referrals: true})
	t.Cleanup(server.Close)
	made := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true})
	d := referred(3)
	_, err := made.Submit(t.Context(), create(t, made, d))
	require.NoError(t, err)

	p := newProvider(t, server.Config(), sixdotfifty.ProviderConfig{Referrals: true, FindItems: true})
	found, err := batch.Find(t.Context(), p, d.Reference)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(d.Items, found.Draft.Items, cmp.Comparer(func(a, b map[string]string) bool {
		return cmp.Equal(plainExtra(a), plainExtra(b))
	})))
	report, err := p.Report(t.Context(), found)
	require.NoError(t, err)
	require.Equal(t, 3, report.Totals[batch.OutcomePaid].Count)
	for listed, err := range batch.List(t.Context(), p) {
		require.NoError(t, err)
		require.Len(t, listed.Draft.Items, 3)
	}
	bare, err := made.Find(t.Context(), d.Reference)
	require.NoError(t, err)
	require.Empty(t, bare.Draft.Items, "without FindItems")

	for name, change := range map[string]func([]map[string]any) []map[string]any{
		"a payment of no one": func(list []map[string]any) []map[string]any {
			delete(list[1], "externalId")
			return list
		},
		"one that is there twice": func(list []map[string]any) []map[string]any {
			list[1]["externalId"] = list[0]["externalId"]
			return list
		},
		"a list that is cut short": func(list []map[string]any) []map[string]any { return list[:2] },
	} {
		server.Inject(listed(change))
		found, err := p.Find(t.Context(), d.Reference)
		require.ErrorIs(t, err, batch.ErrProtocol, name)
		require.Empty(t, found.Draft.Items, name)
		require.NotEmpty(t, found.ID, "the batch is beside the error")
		server.Heal()
	}
}

// plainExtra writes 5.50 as the service does.
func plainExtra(extra map[string]string) map[string]string {
	written := make(map[string]string, len(extra))
	for key, value := range extra {
		if key == "referralAmount" {
			value = strings.TrimRight(value, "0")
		}
		written[key] = value
	}
	return written
}
