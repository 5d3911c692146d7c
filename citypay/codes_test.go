package citypay

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func documentedCodes(t *testing.T) (codes []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/response_codes.json")
	require.NoError(t, err)
	var file struct{ Codes []struct{ Code string } }
	require.NoError(t, json.Unmarshal(text, &file))
	for _, c := range file.Codes {
		codes = append(codes, c.Code)
	}
	require.Len(t, codes, 254)
	return codes
}

// The codes that leave doubt, by hand: about a whole call and about a row. The
// table lists the others, so a range that is too wide shows here.
func TestCodesThatLeaveDoubt(t *testing.T) {
	internal := strings.Fields(
		"D004 D005 D012 D024 D025 D037 D038 D039 D041 D042 D047 D050 F001 F002 F003 F004 F005 F006 F007 " +
			"L200 L201 L204 L401 L402 L403 R001 R002 R003 R004 R005 R006 R007 R008 R009 R010 R011 " +
			"T001 T002 T003 T004 T007 T008 T009 T010 T011 T012 " +
			"W001 W002 W003 W004 W005 W006 W007 W008 W009 W010 W011 W012 W013 W014 W015 W016 W017 W018 W019 W020 W021 W022 W023 W024 W025 " +
			"002 003 011 012 014 032 040 041 044 050 071 072 081 082 083 084 085 092 093")
	ofRows := strings.Fields(
		"000 001 013 015 030 031 064 065 080 087 088 089 090 091 094 095 096 097 098 T005 T006 T013")
	ofCalls := strings.Fields("B001 B002 B003 B004 B005 B006 B007 B008 B009 D101")
	for _, code := range documentedCodes(t) {
		m := meaningOf(code)
		require.Equal(t, slices.Contains(internal, code) || slices.Contains(ofRows, code), m.call == batch.ErrAmbiguous,
			"%s about a call is %s", code, m.call)
		require.Equal(t, slices.Contains(internal, code) || slices.Contains(ofCalls, code),
			m.row == batch.OutcomeUnknown, "%s of a row is %s", code, m.row)
	}
	for _, code := range []string{"", "0", "00", "0000", "0005", "B010", "B000", "b006", "B6", "B0061", "C029", "D051",
		"P054", "S011", "X001", "Z004", "é01", "B006 "} {
		require.Equal(t, meaning{call: batch.ErrAmbiguous, row: batch.OutcomeUnknown}, meaningOf(code), code)
	}
}

// Ranges do not overlap, so that their order does not matter.
func TestCodesAreListedOnce(t *testing.T) {
	for _, code := range documentedCodes(t) {
		n := 0
		for _, m := range codes {
			require.LessOrEqual(t, m.first, m.last)
			require.NotEmpty(t, m.fact)
			if len(code) == len(m.first) && m.first <= code && code <= m.last {
				n++
			}
		}
		require.LessOrEqual(t, n, 1, code)
	}
}

// A row is paid or failed only if its result and its code both say so.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		result Result
		code   string
		want   batch.Outcome
		says   string
	}{
		{1, "000", batch.OutcomePaid, ""},
		{1, "001", batch.OutcomePaid, ""},
		{0, "090", batch.OutcomeFailed, ""},
		{2, "P043", batch.OutcomeFailed, ""},
		{4, "089", batch.OutcomeFailed, ""},
		{16, "065", batch.OutcomeFailed, ""},
		{23, "S005", batch.OutcomeFailed, ""},
		{2, "080", batch.OutcomeFailed, ""},
		{3, "090", batch.OutcomeSkipped, ""},
		{19, "080", batch.OutcomeSkipped, ""},

		{7, "012", batch.OutcomeUnknown, ""},  // hold
		{7, "090", batch.OutcomeUnknown, ""},  // whatever the code
		{0, "012", batch.OutcomeUnknown, ""},  // whatever the result
		{2, "050", batch.OutcomeUnknown, ""},  // waiting authorisation
		{3, "050", batch.OutcomeUnknown, ""},  // a sample of a batch in error
		{2, "T001", batch.OutcomeUnknown, ""}, // the earlier one may be paid
		{0, "F001", batch.OutcomeUnknown, ""},
		{2, "F005", batch.OutcomeUnknown, ""},
		{1, "F006", batch.OutcomeUnknown, ""},
		{2, "F007", batch.OutcomeUnknown, ""},
		{2, "081", batch.OutcomeUnknown, ""},
		{2, "085", batch.OutcomeUnknown, ""},
		{0, "B006", batch.OutcomeUnknown, ""},
		{0, "", batch.OutcomeUnknown, ""},
		{0, "c", batch.OutcomeUnknown, ""},
		{1, "c", batch.OutcomeUnknown, ""},
		{1, "002", batch.OutcomeUnknown, ""}, // a refund
		{5, "090", batch.OutcomeUnknown, ""},
		{6, "090", batch.OutcomeUnknown, ""},
		{18, "000", batch.OutcomeUnknown, ""},
		{20, "090", batch.OutcomeUnknown, ""},
		{21, "090", batch.OutcomeUnknown, ""},
		{22, "090", batch.OutcomeUnknown, ""},
		{24, "090", batch.OutcomeUnknown, ""},
		{42, "000", batch.OutcomeUnknown, ""},
		{-1, "000", batch.OutcomeUnknown, ""},

		{1, "090", batch.OutcomeUnknown, "is 1 (accepted), and the result_code 090"},
		{1, "P043", batch.OutcomeUnknown, "contradicts it"},
		{0, "000", batch.OutcomeUnknown, "is 0 (declined), and the result_code 000"},
		{3, "001", batch.OutcomeUnknown, "contradicts it"},
	} {
		got, err := outcome(c.result, c.code)
		require.Equal(t, c.want, got, "result %d with code %q", c.result, c.code)
		if c.says == "" {
			require.NoError(t, err, "result %d with code %q", c.result, c.code)
		} else {
			require.ErrorContains(t, err, c.says)
		}
	}
}

// In production, a test transaction is not a payment.
func TestATestTransactionIsNotACharge(t *testing.T) {
	for url, want := range map[string]bool{Sandbox: true, Production: false, "https://API.citypay.com.:443/": false,
		"https://citypay.test": true} {
		client, err := New(Config{ClientID: "PC1", LicenceKey: "key", BaseURL: url})
		require.NoError(t, err)
		for _, p := range []payment{charge, refund, capture} {
			require.Equal(t, want, client.succeeds(p, "001"), url)
			require.True(t, client.succeeds(p, p.accepted[0]))
			require.False(t, client.succeeds(p, "090"))
		}
		require.False(t, client.succeeds(void, "001"))
	}
}
