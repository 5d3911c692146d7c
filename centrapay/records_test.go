package centrapay

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return text
}

// lines decodes the lines of a documented JSONL file.
func lines[R Record](t testing.TB, file []byte) []R {
	t.Helper()
	var records []R
	for line := range bytes.Lines(file) {
		var r R
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields() // Every documented field has its place.
		require.NoError(t, d.Decode(&r))
		records = append(records, r)
	}
	return records
}

// roundTrip reads a documented file, writes it, and compares line by line.
func roundTrip[R Record](file string, n int) func(*testing.T) {
	return func(t *testing.T) {
		want := readFile(t, file)
		records := lines[R](t, want)
		require.Len(t, records, n)
		var got bytes.Buffer
		written, err := Encode(&got, slices.Values(records))
		require.NoError(t, err)
		require.Equal(t, n, written)
		wantLines, gotLines := slices.Collect(bytes.Lines(want)), slices.Collect(bytes.Lines(got.Bytes()))
		require.Len(t, gotLines, n)
		for i := range wantLines {
			sameJSON(t, fmt.Sprintf("record %d", i), wantLines[i], gotLines[i])
		}
	}
}

func TestFiles(t *testing.T) {
	t.Run("farmlands", roundTrip[FarmlandsAsset]("farmlands-external-asset.jsonl", 3))
	t.Run("farmlands, what may be absent", roundTrip[FarmlandsAsset]("farmlands-external-asset-partial.jsonl", 3))
	t.Run("ticketek", roundTrip[TicketekTicket]("ticketek-ticket.jsonl", 2))
	t.Run("verifone", roundTrip[TerminalStatus]("verifone-terminal-status.jsonl", 1))
	t.Run("business", func(t *testing.T) {
		rows := func(text []byte) []map[string]string {
			all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
			require.NoError(t, err)
			var rows []map[string]string
			for _, row := range all[1:] {
				m := make(map[string]string)
				for i, column := range all[0] {
					if row[i] != "" {
						m[column] = row[i]
					}
				}
				rows = append(rows, m)
			}
			return rows
		}
		want := readFile(t, "business-onboard.csv")
		var got bytes.Buffer
		n, err := Encode(&got, slices.Values([]Business{business}))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		if diff := cmp.Diff(rows(want), rows(got.Bytes())); diff != "" {
			t.Errorf("the file says something else than the sample (-want +got):\n%s", diff)
		}
		header, _, _ := strings.Cut(got.String(), "\n")
		sample, _, _ := strings.Cut(string(want), "\n")
		require.Equal(t, sample, strings.Replace(header, "merchantState,", "", 1),
			"the columns are in the order of the sample")
	})
}

// business is the documented sample.
var business = Business{NZBN: "9421234567891", CompanyName: "My Great Company Limited", TradingName: "Centrapay Cafe",
	ContactName:         "John Doe",
	PrimaryContactEmail: "johndoe@gmail.com", ExternalBusinessID: "1234567", CategoryCode: "4121",
	SettlementAccountNumber: "00-1234-0322592-001", ChargeAccountNumber: "00-2345-0322592-001",
	AssetProgramID: "ap_WRhAxxWpTKb5U7pXyxQjjY",
	MerchantName:   "Centrapay Cafe", MerchantStreet: "17 South Street", MerchantSuburb: "Auckland Central",
	MerchantCity:     "Auckland",
	MerchantPostcode: "1010", MerchantCountry: "NZ", MerchantType: "physical", ExternalMerchantID: "2345678",
	SalesChannelID: "sc_WRhAxxWpTKb5U7pXyxQjjY", DeviceID: "002039390093939", DeviceSerialNumber: "002-039-390",
	DeviceModel: "T650P"}

func TestContactsNilAndEmpty(t *testing.T) {
	zero := int64(0)
	var got bytes.Buffer
	_, err := Encode(&got, slices.Values([]FarmlandsAsset{
		{ExternalID: "a"}, {ExternalID: "b", AvailableBalance: &zero, Contacts: []FarmlandsContact{}},
		{ExternalID: "c<&>\u2028é", Contacts: []FarmlandsContact{{ExternalID: "d", Cards: []FarmlandsCard{}}}},
	}))
	require.NoError(t, err)
	want := `{"externalId":"a"}
{"externalId":"b","availableBalance":"0","contacts":[]}
{"externalId":"c<&>\u2028é","contacts":[{"externalId":"d","cards":[]}]}`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf(
			"nil leaves things as they are and an empty list removes them; the file says otherwise (-want +got):\n%s",
			diff)
	}
}

// TestRules breaks one documented rule at a time.
func TestRules(t *testing.T) {
	minus := int64(-1)
	asset := func(change func(*FarmlandsAsset)) FarmlandsAsset {
		a := FarmlandsAsset{ExternalID: "a", Contacts: []FarmlandsContact{{ExternalID: "c"},
			{ExternalID: "d", Mobile: "+64221105598",
				Cards: []FarmlandsCard{{ExternalID: "e", Barcode: "976238759", Number: "1464549137071848",
					Status: "active",
					Expiry: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}}}}}
		change(&a)
		return a
	}
	card := func(change func(*FarmlandsCard)) Record {
		return asset(func(a *FarmlandsAsset) { change(&a.Contacts[1].Cards[0]) })
	}
	mobile := func(number string) Record {
		return asset(func(a *FarmlandsAsset) { a.Contacts[1].Mobile = number })
	}
	ticket := func(change func(*TicketekTicket)) Record {
		r := TicketekTicket{BarcodeClear: "1", Quantity: 1, PriceTypeCode: "J", ProductID: "A", OrderID: "2,3",
			PriceTypeName: "x"}
		change(&r)
		return r
	}
	shop := func(change func(*Business)) Record {
		b := business
		change(&b)
		return b
	}
	const at = "contacts[1]."
	for name, c := range map[string]struct {
		record Record
		want   []string // the fields that are at fault
	}{
		"a good asset": {asset(func(*FarmlandsAsset) {}), nil},
		"no external id": {asset(func(a *FarmlandsAsset) { a.ExternalID = "" }),
			[]string{"externalId"}},
		"a negative balance": {asset(func(a *FarmlandsAsset) { a.AvailableBalance = &minus }),
			[]string{"availableBalance"}},
		"no contact id": {asset(func(a *FarmlandsAsset) { a.Contacts[0].ExternalID = "" }),
			[]string{"contacts[0].externalId"}},
		"a name that is not UTF-8": {asset(func(a *FarmlandsAsset) { a.Contacts[1].Name = "\xff" }),
			[]string{at + "name"}},
		"a tab in a number": {asset(func(a *FarmlandsAsset) { a.AccountNumber = "1\t2" }),
			[]string{"accountNumber"}},
		"a NUL in an id": {asset(func(a *FarmlandsAsset) { a.ExternalID = "a\x00" }),
			[]string{"externalId"}},
		"a newline in a status": {card(func(c *FarmlandsCard) { c.FarmlandsStatus = "a\nb" }),
			[]string{at + "cards[0].farmlandsStatus"}},
		"a C1 control in a name": {asset(func(a *FarmlandsAsset) { a.Contacts[1].Name = "a\u0085b" }),
			[]string{at + "name"}},
		"a DEL in a ticket": {ticket(func(r *TicketekTicket) { r.ProductID = "\x7f" }),
			[]string{"productId"}},
		"a macron and a dash": {asset(func(a *FarmlandsAsset) {
			a.Contacts[1].Name = "Wh\u0101nau \u2013 \u2028"
		}), nil},
		"an Australian mobile":   {mobile("+61412345678"), []string{at + "mobile"}},
		"a national mobile":      {mobile("0221105598"), []string{at + "mobile"}},
		"a mobile of one prefix": {mobile("+64"), []string{at + "mobile"}},
		"a mobile with spaces":   {mobile("+64 22 110 5598"), []string{at + "mobile"}},
		"8 digits of a barcode": {card(func(c *FarmlandsCard) { c.Barcode = "97623875" }),
			[]string{at + "cards[0].barcode"}},
		"10 digits of a barcode": {card(func(c *FarmlandsCard) { c.Barcode = "9762387590" }),
			[]string{at + "cards[0].barcode"}},
		"a letter in a barcode": {card(func(c *FarmlandsCard) { c.Barcode = "97623875x" }),
			[]string{at + "cards[0].barcode"}},
		"15 digits of a PAN": {card(func(c *FarmlandsCard) { c.Number = "146454913707184" }),
			[]string{at + "cards[0].number"}},
		"a PAN with spaces": {card(func(c *FarmlandsCard) { c.Number = "1464 5491 3707 1" }),
			[]string{at + "cards[0].number"}},
		"an unknown card status": {card(func(c *FarmlandsCard) { c.Status = "Active" }),
			[]string{at + "cards[0].status"}},
		"an archived card": {card(func(c *FarmlandsCard) { c.Status = "archived" }), nil},
		"an expiry that is not in UTC": {card(func(c *FarmlandsCard) {
			c.Expiry = c.Expiry.In(time.FixedZone("NZDT", 13*3600))
		}), []string{at + "cards[0].expiry"}},
		"an expiry in the year 10000": {card(func(c *FarmlandsCard) { c.Expiry = c.Expiry.AddDate(8000, 0, 0) }),
			[]string{at + "cards[0].expiry"}},
		"a good ticket":  {ticket(func(*TicketekTicket) {}), nil},
		"a cancellation": {ticket(func(r *TicketekTicket) { r.Quantity = -1 }), nil},
		"no quantity":    {ticket(func(r *TicketekTicket) { r.Quantity = 0 }), []string{"quantity"}},
		"two tickets":    {ticket(func(r *TicketekTicket) { r.Quantity = 2 }), []string{"quantity"}},
		"an empty ticket": {TicketekTicket{}, []string{"barcodeClear", "quantity", "priceTypeCode",
			"productId", "orderId", "priceTypeName"}},
		"a good business": {business, nil},
		"e-commerce without an address": {shop(func(b *Business) {
			b.MerchantType, b.MerchantStreet, b.MerchantCity = "e-commerce", "", ""
		}), nil},
		"a shop without an address": {shop(func(b *Business) { b.MerchantStreet, b.MerchantCity = "", "" }),
			[]string{"merchantStreet", "merchantCity"}},
		"an unknown merchant type": {shop(func(b *Business) { b.MerchantType = "Physical" }),
			[]string{"merchantType"}},
		"an nzbn of 12 digits":    {shop(func(b *Business) { b.NZBN = "942123456789" }), []string{"nzbn"}},
		"one device id is enough": {shop(func(b *Business) { b.DeviceID = "" }), nil},
		"no device": {shop(func(b *Business) { b.DeviceID, b.DeviceSerialNumber = "", "" }),
			[]string{"deviceId"}},
		"a newline in a name":            {shop(func(b *Business) { b.CompanyName = "a\nb" }), []string{"companyName"}},
		"an optional that is not UTF-8":  {shop(func(b *Business) { b.TradingName = "\xff" }), []string{"tradingName"}},
		"an empty business":              {Business{}, append(slices.Clone(businessRequired), "deviceId")},
		"an empty terminal":              {TerminalStatus{}, nil},
		"a terminal of unknown status":   {TerminalStatus{Status: "up"}, []string{"status"}},
		"a version that is not a number": {TerminalStatus{ConfigVersion: "1.2.3"}, []string{"configVersion"}},
		"a time that is none":            {TerminalStatus{FirstSeen: "2022-02-14 09:00:00 UTC"}, []string{"firstSeen"}},
		"a description that is not UTF8": {TerminalStatus{Description: "\xff"}, []string{"description"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Encode(new(bytes.Buffer), slices.Values([]Record{c.record}))
			var got []string
			var e *batch.Error
			if errors.As(err, &e) {
				require.Equal(t, batch.ErrInvalid, e.Kind)
				for _, f := range e.Fields {
					require.Zero(t, f.Item)
					got = append(got, f.Field)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("other fields are at fault (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestEncodeListsEveryFault(t *testing.T) {
	bad := TicketekTicket{BarcodeClear: "1", PriceTypeCode: "J", ProductID: "A", OrderID: "2", PriceTypeName: "x"}
	good := bad
	good.Quantity = 1
	records := []TicketekTicket{good, bad, good, bad}
	var out bytes.Buffer
	n, err := Encode(&out, slices.Values(records))
	require.EqualError(t, err,
		"centrapay: Encode: invalid: item 1: quantity: must be 1 or -1; item 3: quantity: must be 1 or -1")
	require.Zero(t, n)

	var e *batch.Error
	_, err = Encode(&out, repeat(bad, 5000))
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Fields, maxFaults, "a file full of faults must not fill the memory")

	_, err = Encode(&out, slices.Values([]TicketekTicket{}))
	require.ErrorIs(t, err, batch.ErrInvalid, "a file of nothing is no file")

	_, err = Encode(&out, slices.Values([]Record{good, FarmlandsAsset{ExternalID: "a"}}))
	require.ErrorContains(t, err, `item 1 ("a"): type: is not ticketek-ticket`)
}

func repeat[R any](r R, n int) iter.Seq[R] {
	return func(yield func(R) bool) {
		for range n {
			if !yield(r) {
				return
			}
		}
	}
}

type brokenPipe struct{ after int }

func (w *brokenPipe) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestEncodeToBrokenWriter(t *testing.T) {
	for _, after := range []int{0, 100_000} {
		_, err := Encode(&brokenPipe{after}, repeat(FarmlandsAsset{ExternalID: "a"}, 10_000))
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "no space left")
		_, err = Encode(&brokenPipe{after}, repeat(business, 10_000))
		require.ErrorIs(t, err, batch.ErrUnavailable)
	}
}

// TestPersonalData: no fault repeats the value that is wrong, and no print of
// a record shows a card number.
func TestPersonalData(t *testing.T) {
	a := FarmlandsAsset{ExternalID: "a",
		Contacts: []FarmlandsContact{{ExternalID: "c", Mobile: "canary-mobile", Email: "canary\xff",
			Cards: []FarmlandsCard{{ExternalID: "d", Barcode: "canary-bar", Number: "4111111111111canary",
				Status: "canary"}}}}}
	_, err := Encode(new(bytes.Buffer), slices.Values([]FarmlandsAsset{a}))
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.NotContains(t, err.Error(), "canary")
	card := FarmlandsCard{Number: "1464549137071848"}
	all := fmt.Sprintf("%v %+v %#v %s %q %x", card, card, card, card.Number, card.Number, card.Number)
	require.NotContains(t, all, "146454913")
	require.Contains(t, all, "************1848")
}

// TestBusinessColumns: every field of a Business has its column, in order.
func TestBusinessColumns(t *testing.T) {
	var b Business
	v := reflect.ValueOf(&b).Elem()
	require.Equal(t, v.NumField(), len(businessColumns))
	var names []string
	for i := range v.NumField() {
		v.Field(i).SetString(v.Type().Field(i).Name)
		names = append(names, strings.ToLower(v.Type().Field(i).Name))
	}
	row := b.row()
	for i := range row {
		if !strings.EqualFold(row[i], businessColumns[i]) {
			t.Errorf("column %q holds the field %q", businessColumns[i], row[i])
		}
	}
	slices.Sort(names)
}

var countAllocations = true

func TestEncodeAllocates(t *testing.T) {
	const n = 20_000
	per := testing.AllocsPerRun(2, func() {
		if _, err := Encode(new(counter), million(n)); err != nil {
			t.Fatal(err)
		}
	}) / n
	if per >= 2 && countAllocations {
		t.Errorf("%.2f allocations for each record; it must be under 2", per)
	}
	if peak := peakHeap(t, func() { _, _ = Encode(new(counter), million(200_000)) }); peak > 8<<20 {
		t.Errorf("the heap has grown by %d bytes; it must be under 8 MiB", peak)
	}
}

// FuzzFarmlands: whatever the texts, a file either is refused or holds exactly
// the record, on one line.
func FuzzFarmlands(f *testing.F) {
	f.Add("a", "012345678", int64(5), "Road Runner", "+64221105598", "976238759", "1464549137071848",
		int64(1664663576631))
	f.Add("\u2028", "\n", int64(-1), "\xff", "", "", "", int64(1<<62))
	f.Fuzz(func(t *testing.T, id, account string, balance int64, contact, mobile, barcode, number string,
		expiry int64) {
		want := FarmlandsAsset{ExternalID: id, AccountNumber: account, AvailableBalance: &balance,
			Contacts: []FarmlandsContact{{ExternalID: id,
				Name: contact, Mobile: mobile,
				Cards: []FarmlandsCard{{ExternalID: id, Barcode: barcode, Number: PAN(number),
					Expiry: time.UnixMilli(expiry).UTC()}}}}}
		var file bytes.Buffer
		if _, err := Encode(&file, slices.Values([]FarmlandsAsset{want})); err != nil {
			if !errors.Is(err, batch.ErrInvalid) {
				t.Fatalf("a record that cannot be written must be refused before: %v", err)
			}
			return
		}
		if bytes.Contains(file.Bytes(), []byte("\n")) {
			t.Fatalf("one record is on one line: %q", file.Bytes())
		}
		got := lines[FarmlandsAsset](t, file.Bytes())
		if diff := cmp.Diff([]FarmlandsAsset{want}, got); diff != "" {
			t.Errorf("the file holds another record (-want +got):\n%s", diff)
		}
	})
}

// FuzzBusiness does the same for CSV.
func FuzzBusiness(f *testing.F) {
	f.Add(`a,"b"`, "=1+1", "c")
	f.Add("\r\n", "", `"`)
	f.Fuzz(func(t *testing.T, company, trading, city string) {
		want := business
		want.CompanyName, want.TradingName, want.MerchantCity = company, trading, city
		var file bytes.Buffer
		if _, err := Encode(&file, slices.Values([]Business{want})); err != nil {
			if !errors.Is(err, batch.ErrInvalid) {
				t.Fatalf("a record that cannot be written must be refused before: %v", err)
			}
			return
		}
		rows, err := csv.NewReader(&file).ReadAll()
		row := want.row()
		if err != nil || len(rows) != 2 || !slices.Equal(rows[1], row[:]) {
			t.Errorf("the file holds %q, %v", rows, err)
		}
	})
}
