package batch_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func TestParseMoney(t *testing.T) {
	for _, c := range []struct {
		decimal, currency string
		minor             int64
		fault             string // part of the error; empty if there is none
	}{
		{"12.34", "GBP", 1234, ""},
		{"12.3", "GBP", 1230, ""},
		{"12", "GBP", 1200, ""},
		{"0.05", "GBP", 5, ""},
		{"-0.05", "GBP", -5, ""},
		{"0", "GBP", 0, ""},
		{"007.50", "GBP", 750, ""},
		{"1234", "JPY", 1234, ""},
		{"1.234", "KWD", 1234, ""},
		{"1.2345", "CLF", 12345, ""},
		{"100", "IDR", 10000, ""}, // two decimals in ISO 4217, whatever is printed on the notes
		{"92233720368547758.07", "GBP", math.MaxInt64, ""},
		{"-92233720368547758.08", "GBP", math.MinInt64, ""},

		{"92233720368547758.08", "GBP", 0, "out of range"},
		{strings.Repeat("9", 1000), "GBP", 0, "out of range"},
		{"10.005", "GBP", 0, "more than 2 decimal places"},
		{"10.000", "GBP", 0, "more than 2 decimal places"},
		{"100.0", "JPY", 0, "more than 0 decimal places"},
		{"", "GBP", 0, "not a decimal number"},
		{"-", "GBP", 0, "not a decimal number"},
		{".5", "GBP", 0, "not a decimal number"},
		{"5.", "GBP", 0, "not a decimal number"},
		{"+5", "GBP", 0, "not a decimal number"},
		{"--5", "GBP", 0, "not a decimal number"},
		{"1e3", "GBP", 0, "not a decimal number"},
		{"1,000", "GBP", 0, "not a decimal number"},
		{" 5", "GBP", 0, "not a decimal number"},
		{"5.-5", "GBP", 0, "not a decimal number"},
		{"1.2.3", "GBP", 0, "not a decimal number"},
		{"NaN", "GBP", 0, "not a decimal number"},
		{"٣", "GBP", 0, "not a decimal number"},
		{"5", "gbp", 0, "no ISO 4217"},
		{"5", "XYZ", 0, "no ISO 4217"},
		{"5", "DZAR", 0, "no ISO 4217"},
		{"5", "D A", 0, "no ISO 4217"},
		{"5", "", 0, "no ISO 4217"},
	} {
		got, err := batch.ParseMoney(c.decimal, c.currency)
		if c.fault != "" {
			require.ErrorContains(t, err, c.fault, "%q %s", c.decimal, c.currency)
			require.Zero(t, got, "a refused amount must not leave a value behind")
			continue
		}
		require.NoError(t, err, "%q %s", c.decimal, c.currency)
		require.Equal(t, batch.Money{Minor: c.minor, Currency: c.currency}, got, "%q %s", c.decimal, c.currency)
	}
}

func TestParseMoneyShortensALongInputInItsError(t *testing.T) {
	_, err := batch.ParseMoney(strings.Repeat("x", 40), "GBP")
	require.ErrorContains(t, err, `"`+strings.Repeat("x", 40)+`"`)
	_, err = batch.ParseMoney(strings.Repeat("x", 41), "GBP")
	require.ErrorContains(t, err, `"`+strings.Repeat("x", 40)+`..."`)
}

func TestMoneyString(t *testing.T) {
	for want, m := range map[string]batch.Money{
		"12.34 GBP":                 {Minor: 1234, Currency: "GBP"},
		"-0.05 GBP":                 {Minor: -5, Currency: "GBP"},
		"0.00 GBP":                  {Currency: "GBP"},
		"1234 JPY":                  {Minor: 1234, Currency: "JPY"},
		"0.007 KWD":                 {Minor: 7, Currency: "KWD"},
		"3.50 DZAR":                 {Minor: 350, Currency: "DZAR"},
		"-92233720368547758.08 GBP": {Minor: math.MinInt64, Currency: "GBP"},
	} {
		require.Equal(t, want, m.String())
	}
}

func TestMoneyAddRefusesWhatHasNoSum(t *testing.T) {
	gbp := func(n int64) batch.Money { return batch.Money{Minor: n, Currency: "GBP"} }
	sum, err := batch.Sum(gbp(1), gbp(2), gbp(-5))
	require.NoError(t, err)
	require.Equal(t, gbp(-2), sum)

	sum, err = batch.Sum(gbp(0), gbp(7), gbp(0), gbp(-7), gbp(0))
	require.NoError(t, err, "a zero never overflows")
	require.Equal(t, gbp(0), sum)

	none, err := batch.Sum()
	require.NoError(t, err)
	require.Zero(t, none)

	_, err = batch.Sum(gbp(math.MaxInt64), gbp(1))
	require.ErrorContains(t, err, "overflows")
	_, err = batch.Sum(gbp(math.MinInt64), gbp(-1))
	require.ErrorContains(t, err, "overflows")
	_, err = batch.Sum(gbp(1), batch.Money{Minor: 1, Currency: "EUR"})
	require.ErrorContains(t, err, "cannot add EUR to GBP")
}

func TestExponentCoversISO4217(t *testing.T) {
	for code, want := range map[string]int{
		"GBP": 2, "ZAR": 2, "NZD": 2, "COP": 2, "LBP": 2, "IQD": 3, "MGA": 2, "MRU": 2, "ZWG": 2, "VED": 2,
		"JPY": 0, "ISK": 0, "UGX": 0, "UYI": 0, "BHD": 3, "TND": 3, "CLF": 4, "UYW": 4, "XCG": 2,
	} {
		got, known := batch.Exponent(code)
		require.True(t, known, code)
		require.Equal(t, want, got, code)
	}
	for _, code := range []string{"", "GB", "gbp", "XAU", "XTS", "XXX", "HRK", "ANG", "GBPX", " GB",
		"AED AFN", "BIF CLP"} {
		exponent, known := batch.Exponent(code)
		require.False(t, known, code)
		require.Zero(t, exponent, code)
	}
}

// FuzzDecimal compares with exact rational arithmetic.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"12.34", "-0.05", "1e999999999", "92233720368547758.07", "00.1", "5.", "1_000", "0x10",
		"1/3", "Inf"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, exponent int) {
		if exponent < 0 || exponent > 6 || len(s) > 200 {
			return
		}
		n, err := batch.ParseDecimal(s, exponent)
		if err != nil {
			if n != 0 {
				t.Fatalf("ParseDecimal(%q) gave %d beside an error", s, n)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("ParseDecimal accepted %q, which is not a number", s)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil)
		exact.Mul(exact, new(big.Rat).SetInt(scale))
		if !exact.IsInt() || exact.Num().Cmp(big.NewInt(n)) != 0 {
			t.Fatalf("ParseDecimal(%q, %d) = %d, but exactly it is %s", s, exponent, n, exact)
		}
		again, err := batch.ParseDecimal(batch.FormatDecimal(n, exponent), exponent)
		if err != nil || again != n {
			t.Fatalf("%d is written as %q and read back as %d, %v", n, batch.FormatDecimal(n, exponent), again, err)
		}
	})
}

func BenchmarkParseMoney(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := batch.ParseMoney("12345.67", "GBP"); err != nil {
			b.Fatal(err)
		}
	}
}
