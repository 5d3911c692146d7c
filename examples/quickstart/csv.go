package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/batchway/batchway-go/batch"
)

var columns = []string{"reference", "account", "amount", "currency"}

// ownCurrencies are not in ISO 4217, and have two decimals.
var ownCurrencies = []string{"DZAR"}

// readItems reads a CSV file with the columns reference, account, amount and
// currency. All bad rows are reported at once, by line and column.
func readItems(r io.Reader) ([]batch.Item, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1 // Counted below, with a better message.
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: cannot be read: %w", err)
	}
	if !slices.Equal(header, columns) {
		return nil, fmt.Errorf("line 1: the columns must be %s", strings.Join(columns, ","))
	}
	var items []batch.Item
	var faults []error
	first := make(map[string]int)
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			faults = append(faults, err) // It names the line and column, and nothing after it can be trusted.
			break
		}
		line, _ := rows.FieldPos(0)
		fault := func(column int, format string, args ...any) {
			faults = append(faults, fmt.Errorf("line %d, column %s: %s", line, columns[column], fmt.Sprintf(format, args...)))
		}
		broken := false
		for n, value := range row {
			if strings.ContainsAny(value, "\r\n") {
				at, column := rows.FieldPos(n)
				faults = append(faults, fmt.Errorf("line %d, column %s: the field that begins at character %d holds a line break: close its quote on the same line",
					at, nameOf(n), column))
				broken = true
			}
		}
		if broken {
			continue
		}
		if len(row) != len(columns) {
			faults = append(faults, fmt.Errorf("line %d: has %d columns instead of %d", line, len(row), len(columns)))
			continue
		}
		for column, value := range row {
			if value == "" {
				fault(column, "is empty")
			}
		}
		item := batch.Item{Reference: row[0], Account: row[1]}
		if row[2] != "" && row[3] != "" {
			if item.Amount, err = parseAmount(row[2], row[3]); err != nil {
				column := 2
				if _, known := batch.Exponent(row[3]); !known {
					column = 3
				}
				fault(column, "%v", err)
			} else if item.Amount.Minor <= 0 {
				fault(2, "must be more than zero")
			}
		}
		if earlier, twice := first[item.Reference]; twice && item.Reference != "" {
			fault(0, "is also that of line %d", earlier)
		} else {
			first[item.Reference] = line
		}
		items = append(items, item)
	}
	if len(items) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("there are no rows"))
	}
	return items, errors.Join(faults...)
}

// nameOf names a column, or numbers one that should not exist.
func nameOf(n int) string {
	if n < len(columns) {
		return columns[n]
	}
	return fmt.Sprint(n + 1)
}

func parseAmount(amount, currency string) (batch.Money, error) {
	if slices.Contains(ownCurrencies, currency) {
		minor, err := batch.ParseDecimal(amount, 2)
		return batch.Money{Minor: minor, Currency: currency}, err
	}
	return batch.ParseMoney(amount, currency)
}
