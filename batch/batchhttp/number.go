package batchhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/batchway/batchway-go/batch"
)

// Int is an integer as services write it: 50000, "50000", 3600.0 or 3.6e3.
// A fraction, a text, null, and what does not fit 64 bits are errors; nothing
// is rounded.
type Int int64

// UnmarshalJSON reads a number or a string that holds one.
func (n *Int) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var inner string
		if err := Parse(text, &inner); err != nil {
			return err
		}
		text = []byte(inner)
	}
	value, err := Decimal(string(text), 0)
	if err != nil {
		return err
	}
	*n = Int(value)
	return nil
}

// Decimal reads a number in the notation of JSON, exactly, as an integer of
// 10^-places units: "10.1" with 2 places is 1010. More places than that are an
// error unless they are zeros.
func Decimal(s string, places int) (int64, error) {
	if value, err := batch.ParseDecimal(s, places); err == nil && json.Valid([]byte(s)) {
		return value, nil
	}
	fault := func(what string) (int64, error) { return 0, fmt.Errorf("%q %s", plain(s), what) }
	if s == "null" {
		return 0, errors.New("a number is missing: it is null")
	}
	if len(s) > 40 || !json.Valid([]byte(s)) || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return fault("is not a number")
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 2 {
		return fault("is out of range") // Before anybody computes what it is.
	}
	exact, ok := new(big.Rat).SetString(s)
	if !ok {
		return fault("is not a number")
	}
	exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)))
	switch {
	case !exact.IsInt() && places == 0:
		return fault("is not a whole number")
	case !exact.IsInt():
		return fault(fmt.Sprintf("has more than %d decimal places", places))
	case !exact.Num().IsInt64():
		return fault("is out of range")
	}
	return exact.Num().Int64(), nil
}
