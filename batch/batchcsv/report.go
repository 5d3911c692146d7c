package batchcsv

import (
	"encoding/csv"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// WriteReport writes a row for each result, with the names of the columns
// before them: reference, account, amount, currency, outcome, code, message,
// id, at, purpose. Amounts are in major units. The rows that the service
// reported and that were not asked for come last, with the outcome "unmatched".
//
// A spreadsheet runs a cell that begins with =, +, -, @ or a control character
// as a formula. An apostrophe is written before these, and control characters
// become spaces: so "+27821231234" is written as "'+27821231234".
func WriteReport(w io.Writer, r batch.Report) error {
	rows := csv.NewWriter(w)
	// Flush tells.
	_ = rows.Write([]string{reference, account, amount, currency, "outcome", "code", "message", "id", "at", purpose})
	write := func(result batch.Result, outcome string) {
		at := ""
		if !result.At.IsZero() {
			at = result.At.UTC().Format(time.RFC3339)
		}
		item := result.Item
		decimal := item.Amount.Decimal()
		if item.Amount == (batch.Money{}) {
			decimal = ""
		}
		_ = rows.Write([]string{
			safe(item.Reference), safe(item.Account), decimal, safe(item.Amount.Currency), outcome,
			safe(result.Code), safe(result.Message), safe(result.ID), at, safe(item.Purpose),
		})
	}
	for _, result := range r.Results {
		write(result, string(result.Outcome))
	}
	for _, result := range r.Unmatched {
		write(result, "unmatched")
	}
	rows.Flush()
	return rows.Error()
}

// safe makes a cell that no spreadsheet runs.
func safe(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cell)
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(cell, unicode.IsSpace))
	if strings.ContainsRune("=+-@\uff1d\uff0b\uff0d\uff20", first) {
		return "'" + cell
	}
	return cell
}
