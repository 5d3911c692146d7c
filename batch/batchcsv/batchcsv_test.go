package batchcsv_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchcsv"
)

const plain = "reference,account,amount,currency\ninvoice-1,customer-ada,1234.50,GBP\ninvoice-2,customer-b\u00e9n,7,GBP\n"

func pounds(reference, account string, minor int64) batch.Item {
	return batch.Item{Reference: reference, Account: account, Amount: batch.Money{Minor: minor, Currency: "GBP"}}
}

func inUTF16(text string, low, high int, mark bool) string {
	var b []byte
	if mark {
		text = "\ufeff" + text
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := [2]byte{}
		pair[low], pair[high] = byte(unit), byte(unit>>8)
		b = append(b, pair[:]...)
	}
	return string(b)
}

// The same two items, as spreadsheets and people of many places write them.
func TestFilesThatPeopleHave(t *testing.T) {
	comma := &batchcsv.Options{Decimal: ','}
	point := &batchcsv.Options{Decimal: '.'}
	semicolons :=
		"reference;account;amount;currency\ninvoice-1;customer-ada;%s;GBP\ninvoice-2;customer-b\u00e9n;7;GBP\n"
	amount := func(text string) string { return strings.Replace(semicolons, "%s", text, 1) }
	for name, c := range map[string]struct {
		text    string
		options *batchcsv.Options
	}{
		"plain":                          {plain, nil},
		"a byte order mark":              {"\ufeff" + plain, nil},
		"UTF-16, little endian":          {inUTF16(plain, 0, 1, true), nil},
		"UTF-16, big endian":             {inUTF16(plain, 1, 0, true), nil},
		"UTF-16 without a mark":          {inUTF16(plain, 0, 1, false), nil},
		"UTF-16, big, without a mark":    {inUTF16(plain, 1, 0, false), nil},
		"CRLF":                           {strings.ReplaceAll(plain, "\n", "\r\n"), nil},
		"CR":                             {strings.ReplaceAll(plain, "\n", "\r"), nil},
		"no line end at the end":         {strings.TrimSuffix(plain, "\n"), nil},
		"blank lines":                    {"\n" + strings.ReplaceAll(plain, "\n", "\n\n") + "\n,,,\n , ,,\n", nil},
		"tabs":                           {strings.ReplaceAll(plain, ",", "\t"), nil},
		"vertical bars":                  {strings.ReplaceAll(plain, ",", "|"), nil},
		"sep=":                           {"sep=;\n" + strings.ReplaceAll(plain, ",", ";"), nil},
		"SEP= with separators behind it": {"SEP=,,,,\n" + plain, nil},
		"sep= of a tab":                  {"sep=\t\n" + strings.ReplaceAll(plain, ",", "\t"), nil},
		"semicolons, decimal comma":      {amount("1234,50"), comma},
		"groups of a space":              {amount("1 234,50"), comma},
		"groups of a narrow space":       {amount("1\u202f234,50"), comma},
		"groups of a no-break space":     {amount("1\u00a0234,50"), comma},
		"groups of a point":              {amount("1.234,50"), comma},
		"groups of an apostrophe":        {amount("1'234.50"), point},
		"groups of a comma":              {amount("1,234.50"), point},
		"a decimal comma is optional":    {strings.ReplaceAll(amount("1234,5"), ";7;", ";7;"), comma},
		"other order, case and spaces": {
			"Currency , AMOUNT,Reference,\" Account\"\nGBP, 1234.50 ,invoice-1,customer-ada\nGBP,7, invoice-2 ,customer-b\u00e9n\n", nil},
		"a currency for the whole file": {strings.ReplaceAll(plain, ",GBP", ","), &batchcsv.Options{Currency: "GBP"}},
		"no column for the currency": {strings.ReplaceAll(strings.ReplaceAll(plain, ",GBP", ""), ",currency", ""),
			&batchcsv.Options{Currency: "GBP"}},
		"columns that are renamed": {strings.Replace(plain, "reference,account", "Invoice No,IBAN", 1),
			&batchcsv.Options{Rename: map[string]string{"invoice no": "Reference", " iban ": "account"}}},
		"columns that are ignored": {
			"reference,account,amount,currency,Remark\ninvoice-1,customer-ada,1234.50,GBP,=1+1\ninvoice-2,customer-b\u00e9n,7,GBP,\n", &batchcsv.Options{Ignore: true}},
		"columns that a spreadsheet left": {strings.ReplaceAll(plain, "\n", ",,\n"), nil},
		"quotes":                          {strings.ReplaceAll(plain, "customer-ada", `"customer-ada"`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			sheet, err := batchcsv.Read(strings.NewReader(c.text), c.options)
			require.NoError(t, err)
			want := []batch.Item{pounds("invoice-1", "customer-ada", 123450),
				pounds("invoice-2", "customer-b\u00e9n", 700)}
			if diff := cmp.Diff(want, sheet.Items); diff != "" {
				t.Error(diff)
			}
			require.Len(t, sheet.Lines, 2)
		})
	}
}

func TestAllColumns(t *testing.T) {
	sheet, err := batchcsv.Read(strings.NewReader(
		"reference,account,amount,currency,purpose,label:Site,EXTRA:customer_Name,extra:description\n"+
			"a,1,1,DZAR,INV-1,Auckland,Ada,\nb,2,2,JPY,,,,\n"), &batchcsv.Options{Exponents: map[string]int{"DZAR": 2}})
	require.NoError(t, err)
	want := []batch.Item{
		{
			Reference: "a", Account: "1", Amount: batch.Money{Minor: 100, Currency: "DZAR"}, Purpose: "INV-1",
			Labels: map[string]string{"Site": "Auckland"}, Extra: map[string]string{"customer_Name": "Ada"},
		},
		{Reference: "b", Account: "2", Amount: batch.Money{Minor: 2, Currency: "JPY"}},
	}
	columns := map[string]string{"reference": "reference", "account": "account", "amount": "amount",
		"currency": "currency",
		"purpose":  "purpose", "label:site": "label:Site", "extra:customer_name": "EXTRA:customer_Name",
		"extra:description": "extra:description"}
	if diff := cmp.Diff(batchcsv.Sheet{Items: want, Lines: []int{2, 3}, Columns: columns}, sheet); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsRefused(t *testing.T) {
	const header = "reference,account,amount,currency\n"
	comma := &batchcsv.Options{Decimal: ','}
	point := &batchcsv.Options{Decimal: '.'}
	for name, c := range map[string]struct {
		text    string
		options *batchcsv.Options
		want    string
	}{
		"nothing": {"", nil,
			"the file is empty: its first line must name the columns, reference, account, amount, currency"},
		"only a mark": {"\ufeff", nil,
			"the file is empty: its first line must name the columns, reference, account, amount, currency"},
		"no rows": {header, nil, "the file has no rows below the names of the columns"},
		"half a UTF-16 file": {inUTF16(plain, 0, 1, true) + "x", nil,
			"the file is UTF-16 and ends in the middle of a character: it is not whole"},
		"Windows-1252": {header + "a,b,1,GBP\nb\xe9n,b,1,GBP\n", nil,
			"line 3: has a character that is not UTF-8: save the file as CSV UTF-8"},
		"half a pair": {inUTF16(header+"a,b", 0, 1, true) + "\x00\xd8" +
			inUTF16(",1,GBP\n", 0, 1, false), nil,
			"line 2, column account: holds a character that was lost when the file was converted"},
		"a column misspelt": {"reference,account,amount,currency,purpos\n", nil,
			"line 1, column purpos: is not known: reference, account, amount, currency, purpose, label:NAME and extra:KEY are"},
		"a column twice": {"reference,account,amount,Amount,currency\n", nil,
			"line 1, column Amount: is also column 3"},
		"columns are missing": {"reference,amount\n", nil,
			"line 1: the column account is missing\nline 1: the column currency is missing"},
		"a column has no name": {"reference,,account,amount,currency\n", nil, "line 1: column 2 has no name"},
		"a label has no name": {"reference,account,amount,currency,label:\n", nil,
			"line 1, column label:: is not known: reference, account, amount, currency, purpose, label:NAME and extra:KEY are"},
		"an odd separator": {"sep=x\n", nil,
			"line 1: \"sep=x\" names no separator: a comma, semicolon, tab or vertical bar would be right"},
		"too few columns": {header + "a,b,1\n", nil, "line 2: has 3 columns instead of 4"},
		"too many columns": {header + "a,b,1,GBP,50\n", nil,
			"line 2, column 5: holds \"50\", but the first line names 4 columns: a value that holds a ',' must be in quotes"},
		"a comma that is not in quotes": {header + "a,b,12,34,GBP\n", nil,
			"line 2, column 5: holds \"GBP\", but the first line names 4 columns: a value that holds a ',' must be in quotes"},
		"an Excel workbook": {"PK\x03\x04\x14\x00xl/workbook.xml", nil,
			"the file is a workbook of a spreadsheet and not CSV: save it as CSV UTF-8"},
		"an old Excel workbook": {"\xd0\xcf\x11\xe0\xa1\xb1", nil,
			"the file is a workbook of a spreadsheet and not CSV: save it as CSV UTF-8"},
		"an unclosed quote": {header + "\"a,b,1,GBP\nc,d,1,GBP\n", nil,
			"line 2: cannot be read: extraneous or missing \" in quoted-field (character 11 of line 3)"},
		"a quote inside": {"sep=,\n" + header + "a\"b,b,1,GBP\n", nil,
			"line 3: cannot be read: bare \" in non-quoted-field (character 2 of line 3)"},
		"a quote that swallows a row": {header + "a,\"b,1,GBP\nc,d\",1,GBP\n", nil,
			"line 2, column account: holds a line break: close its quote on the same line"},
		"a line break that is lost in the margin": {header + "a,b,1,GBP,\"\n\"\n", nil,
			"line 2, column 5: holds a line break: close its quote on the same line"},
		"a carriage return": {header + "a,\"b\rc\",1,GBP\n", nil,
			"line 2, column account: holds a line break: close its quote on the same line"},
		"a control character": {header + "a,b\x1b[2J,1,GBP\n", nil,
			"line 2, column account: holds a control character"},
		"what is empty": {header + ",,,\n,b,1,GBP\na,,1,GBP\nc,d,,GBP\ne,f,1,\n", nil,
			"line 3, column reference: is empty\nline 4, column account: is empty\nline 5, column amount: is empty\nline 6, column currency: is empty"},
		"a reference twice": {header + "a,b,1,GBP\n\n a,b,1,GBP\n", nil,
			"line 4, column reference: \"a\" is also that of line 2"},
		"a number that a spreadsheet has changed": {header + "a,2.78212E+10,1,GBP\n", nil,
			"line 2, column account: is \"2.78212E+10\": a spreadsheet has changed it; format the column as text and enter it again"},
		"no amount": {header + "a,b,ten,GBP\n", nil,
			"line 2, column amount: \"ten\" is not an amount: a decimal number with at most 2 decimals would be right"},
		"too many decimals": {header + "a,b,1.005,GBP\n", nil,
			"line 2, column amount: \"1.005\" is not an amount: a decimal number with at most 2 decimals would be right"},
		"decimals that are none": {header + "a,b,1.0,JPY\n", nil,
			"line 2, column amount: \"1.0\" is not an amount: a decimal number with at most 0 decimals would be right"},
		"less than nothing": {header + "a,b,-1,GBP\n", nil,
			"line 2, column amount: \"-1\" is negative: the direction of the batch says which way money moves"},
		"an unnamed comma": {"sep=;\nreference;account;amount;currency\na;b;1,234;GBP\n", nil,
			"line 3, column amount: \"1,234\" can be read in two ways: write 1234.50, or say which character comes before the decimals"},
		"a group of two": {header + "a,b,\"1,23,456.00\",GBP\n", point,
			"line 2, column amount: \"1,23,456.00\" is not an amount: a decimal number with at most 2 decimals would be right"},
		"a group that is not one": {header + "a,b,\"12.34\",GBP\n", comma,
			"line 2, column amount: \"12.34\" is not an amount: a point would have to stand before each three digits"},
		"groups of two kinds": {header + "a,b,\"1 234.567,00\",GBP\n", comma,
			"line 2, column amount: \"1 234.567,00\" is not an amount: a point would have to stand before each three digits"},
		"groups in the decimals": {header + "a,b,\"1.000,000.00\",GBP\n", comma,
			"line 2, column amount: \"1.000,000.00\" is not an amount: a decimal number with at most 2 decimals after a comma would be right"},
		"two decimal commas": {header + "a,b,\"1,5,0\",GBP\n", comma,
			"line 2, column amount: \"1,5,0\" is not an amount: a decimal number with at most 2 decimals after a comma would be right"},
		"a currency in small letters": {header + "a,b,1,gbp\n", nil,
			"line 2, column currency: \"gbp\" is not an ISO 4217 code in capitals"},
		"more than can be counted": {header + "a,b,99999999999999999999,GBP\n", nil,
			"line 2, column amount: \"99999999999999999999\" is not an amount: a decimal number with at most 2 decimals would be right"},
		"a long file": {plain, &batchcsv.Options{MaxBytes: 20}, "the file is longer than 20 bytes"},
		"an odd option": {plain, &batchcsv.Options{Decimal: ';'},
			"Options.Decimal is ';': it must be a point or a comma"},
	} {
		t.Run(name, func(t *testing.T) {
			sheet, err := batchcsv.Read(strings.NewReader(c.text), c.options)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.Empty(t, sheet)
			require.Equal(t, c.want, err.Error())
		})
	}
}

func TestFaultsAreToldInOrderAndCutAfterSome(t *testing.T) {
	text := "reference,account,amount,currency\n" + strings.Repeat("a,b,,GBP\n", 30)
	_, err := batchcsv.Read(strings.NewReader(text), nil)
	found, ok := errors.AsType[*batchcsv.Error](err)
	require.True(t, ok)
	require.Len(t, found.Faults, 59, "an amount is missing in 30 rows, and 29 repeat a reference")
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 21)
	require.Equal(t, "and 39 more", lines[20])
	require.Equal(t, batchcsv.Fault{Line: 31, Column: "reference", Message: `"a" is also that of line 2`},
		found.Faults[58])
}

func TestWhatIsQuotedIsCut(t *testing.T) {
	_, err := batchcsv.Read(strings.NewReader("reference,account,amount,currency\na,b,"+strings.Repeat("\u00e9", 100)+
		",GBP\n"), nil)
	require.ErrorContains(t, err, `"`+strings.Repeat("\u00e9", 30)+`..." is not an amount`)
}

func TestAReaderThatFails(t *testing.T) {
	failed := errors.New("the disk has failed")
	_, err := batchcsv.Read(failing{failed}, nil)
	require.ErrorIs(t, err, failed)
	require.NotErrorIs(t, err, batch.ErrInvalid)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A provider names items by their number; people look for a line.
func TestExplainNamesLines(t *testing.T) {
	sheet, err := batchcsv.Read(strings.NewReader("\n\n"+plain), nil)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5}, sheet.Lines)
	refused := batch.Invalid("citypay", "Create", []batch.FieldError{
		{Item: -1, Field: "reference", Message: "is too long"}, {Item: 1, Reference: "invoice-2", Field: "account",
			Message: "is not ASCII"}, {Item: 9, Field: "amount", Message: "is odd"},
	})
	explained := sheet.Explain(refused)
	require.EqualError(t, explained,
		"column reference: is too long\ncolumn amount: is odd\nline 5, column account: is not ASCII")

	// It is the file's own name of the column, and says what was found there.
	sheet, err = batchcsv.Read(strings.NewReader("Sum;Invoice No;Client\n12,00;R-1;ada\n"), &batchcsv.Options{
		Decimal: ',', Currency: "EUR",
		Rename: map[string]string{"Invoice No": "reference", "sum": "amount", "client": "account"}})
	require.NoError(t, err)
	require.EqualError(t, sheet.Explain(batch.Invalid("citypay", "Create", []batch.FieldError{
		{Item: 0, Field: "reference", Message: "is too short"}, {Item: 0, Field: "amount", Message: "is too small"},
		{Item: 0, Field: "account", Message: "is not known"}, {Item: 0, Field: "date", Message: "is in the past"}})),
		"line 2, column Invoice No: \"R-1\" is too short\nline 2, column Sum: \"12.00 EUR\" is too small\n"+
			"line 2, column Client: is not known\nline 2, column date: is in the past")
	require.ErrorIs(t, explained, refused)
	require.ErrorIs(t, explained, batch.ErrInvalid)

	for _, other := range []error{nil, errors.New("x"), &batch.Error{Kind: batch.ErrAmbiguous},
		batch.Invalid("citypay", "Create", []batch.FieldError{{Item: -1, Field: "reference"}})} {
		require.Equal(t, other, sheet.Explain(other))
	}
}

func TestAReportThatNoSpreadsheetRuns(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("NZDT", 13*3600))
	report := batch.Report{
		Results: []batch.Result{
			{Item: batch.Item{Reference: "a", Account: "+27821231234",
				Amount: batch.Money{Minor: 123450, Currency: "GBP"}, Purpose: "INV-1"}, Outcome: batch.OutcomePaid,
				ID: "7", At: at},
			{Item: batch.Item{Reference: "=b", Account: "\t@c", Amount: batch.Money{Minor: 5, Currency: "GBP"}},
				Outcome: batch.OutcomeFailed, Code: "-1",
				Message: "=HYPERLINK(\"http://x\")\r\nsecond \x1b[2Jline, with a comma"},
		},
		Unmatched: []batch.Result{{Item: batch.Item{Reference: "\u00a0=stranger"}, Message: "\uff1d1+1"}},
	}
	var out bytes.Buffer
	require.NoError(t, batchcsv.WriteReport(&out, report))
	require.Equal(t, `reference,account,amount,currency,outcome,code,message,id,at,purpose
a,'+27821231234,1234.50,GBP,paid,,,7,2026-02-28T23:00:00Z,INV-1
'=b,' @c,0.05,GBP,failed,'-1,"'=HYPERLINK(""http://x"")  second  [2Jline, with a comma",,,
'`+"\u00a0"+`=stranger,,,,unmatched,,'`+"\uff1d"+`1+1,,,
`, out.String())
	require.Error(t, batchcsv.WriteReport(full{}, report))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

// FuzzRead holds that a file is read exactly or refused with a place, and that
// what was read can be written and read again.
func FuzzRead(f *testing.F) {
	for _, text := range []string{plain, "sep=;\n" + strings.ReplaceAll(plain, ",", ";"), inUTF16(plain, 0, 1, true),
		"\ufeff\"", "reference\taccount\tamount\tcurrency\n\"a\nb\"\t1\t1'000.00\tGBP\r"} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, comma bool) {
		options := &batchcsv.Options{Ignore: true}
		if comma {
			options.Decimal = ','
		}
		sheet, err := batchcsv.Read(bytes.NewReader(text), options)
		if err != nil {
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.NotEmpty(t, err.Error())
			require.Empty(t, sheet.Items)
			return
		}
		require.NotEmpty(t, sheet.Items)
		require.Len(t, sheet.Lines, len(sheet.Items))
		var again bytes.Buffer
		rows := csv.NewWriter(&again)
		require.NoError(t, rows.Write([]string{"reference", "account", "amount", "currency"}))
		var want []batch.Item
		for _, item := range sheet.Items {
			require.NoError(t,
				rows.Write([]string{item.Reference, item.Account, item.Amount.Decimal(), item.Amount.Currency}))
			want = append(want, batch.Item{Reference: item.Reference, Account: item.Account, Amount: item.Amount})
		}
		rows.Flush()
		same, err := batchcsv.Read(&again, nil)
		require.NoError(t, err)
		if diff := cmp.Diff(want, same.Items); diff != "" {
			t.Error(diff)
		}
	})
}
