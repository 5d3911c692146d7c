package batch

import (
	"fmt"
	"strconv"
	"strings"
)

// Money is an exact amount in the minor unit of a currency: {1234, "GBP"} is
// £12.34, and {1234, "JPY"} is ¥1234. There is no float on any money path.
type Money struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"` // usually ISO 4217; a service may use its own, such as DZAR
}

// ParseMoney reads an exact decimal of major units: "12.34" with "GBP" is
// {1234, "GBP"}. It takes an optional minus sign, digits, and a point followed
// by at most as many digits as the currency has; nothing is ever rounded. The
// currency must be an ISO 4217 code in capitals: see ParseDecimal for others.
func ParseMoney(decimal, currency string) (Money, error) {
	exponent, known := Exponent(currency)
	if !known {
		return Money{}, fmt.Errorf("%q is no ISO 4217 currency code", currency)
	}
	minor, err := ParseDecimal(decimal, exponent)
	if err != nil {
		return Money{}, err
	}
	return Money{minor, currency}, nil
}

// Decimal writes the amount in major units with all the digits that its
// currency has: "12.34", "1234", "-0.05". A currency that is not in ISO 4217
// is written with two digits, as the services with their own codes do.
func (m Money) Decimal() string {
	exponent, known := Exponent(m.Currency)
	if !known {
		exponent = 2
	}
	return FormatDecimal(m.Minor, exponent)
}

// String writes the amount and its currency: "12.34 GBP".
func (m Money) String() string { return m.Decimal() + " " + m.Currency }

// Add returns the sum, or an error if the currencies differ or it overflows.
func (m Money) Add(n Money) (Money, error) {
	if m.Currency != n.Currency {
		return Money{}, fmt.Errorf("cannot add %s to %s", n.Currency, m.Currency)
	}
	sum := m.Minor + n.Minor
	if (sum > m.Minor) != (n.Minor > 0) {
		return Money{}, fmt.Errorf("the sum of %s and %s overflows", m, n)
	}
	return Money{sum, m.Currency}, nil
}

// Sum adds up amounts of one currency. The sum of none is the zero Money.
func Sum(amounts ...Money) (Money, error) {
	if len(amounts) == 0 {
		return Money{}, nil
	}
	total := Money{0, amounts[0].Currency}
	for _, amount := range amounts {
		var err error
		if total, err = total.Add(amount); err != nil {
			return Money{}, err
		}
	}
	return total, nil
}

// ParseDecimal reads an exact decimal as an integer of 10^-exponent units:
// "12.3" with exponent 2 is 1230. Fewer digits than the exponent are fine,
// more are an error, even if they are zeros; so are "+1", "1.", ".5", "1e3",
// spaces, separators, and what does not fit int64.
func ParseDecimal(s string, exponent int) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || point && !isDigits(fraction) {
		return 0, fmt.Errorf("%q is not a decimal number", clip(s))
	}
	if len(fraction) > exponent {
		return 0, fmt.Errorf("%q has more than %d decimal places", clip(s), exponent)
	}
	text := whole + fraction + strings.Repeat("0", exponent-len(fraction))
	if negative {
		text = "-" + text
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is out of range", clip(s))
	}
	return n, nil
}

// FormatDecimal is the inverse of ParseDecimal, with all digits: 1230 with
// exponent 2 is "12.30".
func FormatDecimal(n int64, exponent int) string {
	text := strconv.FormatInt(n, 10)
	if exponent == 0 {
		return text
	}
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	if missing := exponent + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	return sign + text[:len(text)-exponent] + "." + text[len(text)-exponent:]
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// clip keeps a hostile number from filling an error message.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// Exponent returns how many decimal places an ISO 4217 currency has, and
// whether the code is known.
func Exponent(currency string) (int, bool) {
	if len(currency) != 3 || !strings.Contains(iso4217, " "+currency+" ") {
		return 0, false
	}
	for exponent, codes := range unusual {
		if strings.Contains(codes, currency) {
			return exponent, true
		}
	}
	return 2, true
}

// The active codes of ISO 4217 that name money, as of amendment 179. Funds
// codes are among them; metals, baskets, and test codes are not.
const iso4217 = " AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD" +
	" CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL" +
	" GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD" +
	" KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO" +
	" NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD" +
	" SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV" +
	" WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "

// Those whose exponent is not 2.
var unusual = map[int]string{
	0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
	3: "BHD IQD JOD KWD LYD OMR TND",
	4: "CLF UYW",
}
