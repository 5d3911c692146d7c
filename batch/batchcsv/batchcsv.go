// Package batchcsv reads the items of a batch from the CSV files that people
// have, and writes a report as a CSV file that a spreadsheet opens safely.
//
// # What is read
//
// The first line names the columns, in any order and case, with spaces around:
//
//	reference   required: Item.Reference, unique in the file
//	account     required: Item.Account
//	amount      required: in major units, such as 12.34
//	currency    ISO 4217; may be missing if Options.Currency is set
//	purpose     Item.Purpose
//	label:site  Item.Labels["site"]
//	extra:key   Item.Extra["key"]
//
// Columns are separated by a comma, a semicolon or a tab, which the first line
// shows, or by what a line sep=; before it names. Lines end with LF, CRLF or
// CR. The text is UTF-8 or UTF-16, with a byte order mark or without. Rows
// without any text are left out.
//
// Whatever else is found is refused, by line and column. Nothing is guessed
// about an amount: 1,234 is refused unless Options.Decimal says how to read it.
package batchcsv

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// Options is what a file cannot say about itself. The zero value reads plain
// decimals such as 1234.50, and needs a currency in every row.
type Options struct {
	// Decimal is the character before the decimals of an amount, '.' or ','. If
	// it is set, digits may also be grouped by three: 1,234.50 with '.', 1.234,50
	// with ',', and with either 1 234.50 and 1'234.50 in their form. Zero means
	// a point, and no groups.
	Decimal rune
	// Currency is that of rows that name none.
	Currency string
	// Exponents has the number of decimals of currencies that are not in ISO
	// 4217, such as 6DOT50's DZAR.
	Exponents map[string]int
	// Rename maps the names of columns in the file to those that are known:
	// {"Invoice No": "reference"}. Case and spaces around do not matter.
	Rename map[string]string
	// Ignore leaves out columns whose name is not known. Without it they are
	// refused: a column that was meant and is misspelt would be lost.
	Ignore bool
	// MaxBytes is the most that is read of a file; 0 means 64 MiB.
	MaxBytes int64
}

// A Sheet is what a file holds.
type Sheet struct {
	Items []batch.Item
	Lines []int // of each item, the line of the file on which it begins
	// Columns has the file's own names of the columns that were read, by what
	// they are: {"reference": "Invoice No"}.
	Columns map[string]string
}

// A Fault is one thing that is wrong in a file.
type Fault struct {
	Line    int    // from 1; 0 for the file as a whole
	Column  string // as the file names it; empty for the whole line
	Message string // what was found, and what would be right
}

// String writes the fault with its place: "line 3, column amount: is empty".
func (f Fault) String() string {
	var where []string
	if f.Line > 0 {
		where = append(where, fmt.Sprint("line ", f.Line))
	}
	if f.Column != "" {
		where = append(where, "column "+f.Column)
	}
	if len(where) == 0 {
		return f.Message
	}
	return strings.Join(where, ", ") + ": " + f.Message
}

// shown is how many faults an error's text names.
const shown = 20

// An Error has every fault of a file. errors.Is finds batch.ErrInvalid in it,
// unless it was made from another error by Explain.
type Error struct {
	Faults []Fault
	Err    error // what was explained
}

// Error writes one fault a line, and how many there are beyond the first 20.
func (e *Error) Error() string {
	var lines []string
	for _, f := range e.Faults[:min(len(e.Faults), shown)] {
		lines = append(lines, f.String())
	}
	if more := len(e.Faults) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the error that was explained, or batch.ErrInvalid.
func (e *Error) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	return batch.ErrInvalid
}

// Explain tells the faults that a provider found in the items of the sheet by
// their lines in the file. It returns any other error as it is.
func (s Sheet) Explain(err error) error {
	found, ok := errors.AsType[*batch.Error](err)
	if !ok || !slices.ContainsFunc(found.Fields, func(f batch.FieldError) bool { return f.Item >= 0 }) {
		return err
	}
	e := &Error{Err: err}
	for _, f := range found.Fields {
		fault := Fault{Column: f.Field, Message: f.Message}
		if name, ok := s.Columns[f.Field]; ok {
			fault.Column = name
		}
		if f.Item >= 0 && f.Item < len(s.Lines) {
			fault.Line = s.Lines[f.Item]
			// An account may name a person: it is found by its line.
			switch item := s.Items[f.Item]; f.Field {
			case reference:
				fault.Message = fmt.Sprintf("%q %s", show(item.Reference), f.Message)
			case amount:
				fault.Message = fmt.Sprintf("%q %s", item.Amount, f.Message)
			}
		}
		e.Faults = append(e.Faults, fault)
	}
	sortByLine(e.Faults)
	return e
}

func sortByLine(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int { return a.Line - b.Line })
}

// Read reads a file. It returns either all items or one *Error with every fault.
// An error of the reader itself is returned as it is.
func Read(r io.Reader, o *Options) (Sheet, error) {
	if o == nil {
		o = new(Options)
	}
	if o.Decimal != 0 && o.Decimal != '.' && o.Decimal != ',' {
		return Sheet{}, refuse(0, "", "Options.Decimal is %q: it must be a point or a comma", o.Decimal)
	}
	limit := o.MaxBytes
	if limit == 0 {
		limit = 64 << 20
	}
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return Sheet{}, err
	}
	if int64(len(raw)) > limit {
		return Sheet{}, refuse(0, "", "the file is longer than %d bytes", limit)
	}
	text, err := decode(raw)
	if err != nil {
		return Sheet{}, err
	}
	reader := sheetReader{options: o, first: make(map[string]int)}
	return reader.read(text)
}

func refuse(line int, column, format string, args ...any) *Error {
	return &Error{Faults: []Fault{{line, column, fmt.Sprintf(format, args...)}}}
}

// decode returns the text of a file with LF at the end of its lines.
func decode(raw []byte) (string, error) {
	for _, magic := range []string{"PK\x03\x04", "\xd0\xcf\x11\xe0"} { // Of .xlsx and .ods, and of .xls.
		if bytes.HasPrefix(raw, []byte(magic)) {
			return "", refuse(0, "", "the file is a workbook of a spreadsheet and not CSV: save it as CSV UTF-8")
		}
	}
	text := string(raw)
	switch order := orderOf(raw); {
	case order != nil:
		if len(raw)%2 != 0 {
			return "", refuse(0, "", "the file is UTF-16 and ends in the middle of a character: it is not whole")
		}
		units := make([]uint16, len(raw)/2)
		for n := range units {
			units[n] = order.Uint16(raw[2*n:])
		}
		text = string(utf16.Decode(units))
	case !utf8.Valid(raw):
		line := 1 + bytes.Count(raw[:firstInvalid(raw)], []byte("\n"))
		return "", refuse(line, "", "has a character that is not UTF-8: save the file as CSV UTF-8")
	}
	text = strings.TrimPrefix(text, "\ufeff")
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, "\r", "\n") // As spreadsheets of old Macintoshes write.
	}
	return strings.ReplaceAll(text, "\r\n", "\n"), nil
}

// orderOf returns the byte order of UTF-16, or nil: by the mark, or by the zero
// that is half of every ASCII letter of the first line.
func orderOf(raw []byte) binary.ByteOrder {
	switch {
	case len(raw) < 2:
		return nil
	case raw[0] == 0xff && raw[1] == 0xfe, raw[0] != 0 && raw[1] == 0:
		return binary.LittleEndian
	case raw[0] == 0xfe && raw[1] == 0xff, raw[0] == 0 && raw[1] != 0:
		return binary.BigEndian
	}
	return nil
}

func firstInvalid(raw []byte) int {
	for n := 0; n < len(raw); {
		r, size := utf8.DecodeRune(raw[n:])
		if r == utf8.RuneError && size == 1 {
			return n
		}
		n += size
	}
	return len(raw)
}

const (
	reference = "reference"
	account   = "account"
	amount    = "amount"
	currency  = "currency"
	purpose   = "purpose"
	label     = "label:"
	extra     = "extra:"
)

// A sheetReader reads one file.
type sheetReader struct {
	options *Options
	comma   rune     // between the columns
	skipped int      // lines before the one with the names
	names   []string // of the columns, as the file has them
	columns []string // what each is; empty if it is ignored
	sheet   Sheet
	first   map[string]int // the line on which a reference occurs first
	faults  []Fault
}

func (s *sheetReader) fault(line, column int, format string, args ...any) {
	f := Fault{Line: line, Message: fmt.Sprintf(format, args...)}
	if column >= len(s.names) {
		f.Column = fmt.Sprint(column + 1)
	} else if column >= 0 {
		f.Column = show(s.names[column])
	}
	s.faults = append(s.faults, f)
}

func (s *sheetReader) read(text string) (Sheet, error) {
	separator, text, err := s.separator(text)
	if err != nil {
		return Sheet{}, err
	}
	rows := csv.NewReader(strings.NewReader(text))
	rows.Comma, s.comma = separator, separator
	rows.FieldsPerRecord = -1 // Counted below, with a better message.
	names, err := rows.Read()
	if err != nil {
		return Sheet{}, s.broken(err)
	}
	line, _ := rows.FieldPos(0)
	if s.header(line+s.skipped, names); len(s.faults) > 0 {
		return Sheet{}, &Error{Faults: s.faults}
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.faults = append(s.faults, s.broken(err).Faults...) // Nothing after it can be trusted.
			break
		}
		line, _ := rows.FieldPos(0)
		s.row(line+s.skipped, row)
	}
	if len(s.faults) == 0 && len(s.sheet.Items) == 0 {
		s.fault(0, -1, "the file has no rows below the names of the columns")
	}
	if len(s.faults) > 0 {
		sortByLine(s.faults)
		return Sheet{}, &Error{Faults: s.faults}
	}
	return s.sheet, nil
}

// broken explains what encoding/csv refuses.
func (s *sheetReader) broken(err error) *Error {
	if errors.Is(err, io.EOF) {
		return refuse(0, "", "the file is empty: its first line must name the columns, %s",
			strings.Join([]string{reference, account, amount, currency}, ", "))
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return refuse(e.StartLine+s.skipped, "", "cannot be read: %v (character %d of line %d)", e.Err, e.Column,
			e.Line+s.skipped)
	}
	return refuse(0, "", "%v", err)
}

// separator finds out what is between the columns: what a line sep= says, or
// what divides the first line into most columns.
func (s *sheetReader) separator(text string) (rune, string, error) {
	line, rest, _ := strings.Cut(text, "\n")
	if len(line) >= len("sep=") && strings.EqualFold(line[:len("sep=")], "sep=") {
		value := line[len("sep="):]
		separator, size := utf8.DecodeRuneInString(value)
		// A spreadsheet writes separators behind it, for the other columns.
		if !strings.ContainsRune(",;\t|", separator) || strings.Trim(value[size:], ",;\t| ") != "" {
			return 0, "", refuse(1, "", "%q names no separator: a comma, semicolon, tab or vertical bar would be right",
				show(line))
		}
		s.skipped = 1
		return separator, rest, nil
	}
	head := strings.TrimLeft(text, "\n")
	head, _, _ = strings.Cut(head, "\n")
	best := ','
	for _, separator := range []rune{';', '\t', '|'} {
		if strings.Count(head, string(separator)) > strings.Count(head, string(best)) {
			best = separator
		}
	}
	return best, text, nil
}

// header finds out what each column is.
func (s *sheetReader) header(line int, names []string) {
	s.names, s.sheet.Columns = names, make(map[string]string)
	for column, name := range names {
		known := fold(name)
		for from, to := range s.options.Rename {
			if fold(from) == known {
				known = fold(to)
				break
			}
		}
		switch {
		case slices.Contains([]string{reference, account, amount, currency, purpose}, known),
			strings.HasPrefix(known, label) && known != label, strings.HasPrefix(known, extra) && known != extra:
		case s.options.Ignore || known == "" && strings.TrimSpace(strings.Join(names[column:], "")) == "":
			known = "" // A spreadsheet writes separators for columns that were once used.
		case known == "":
			s.fault(line, -1, "column %d has no name", column+1)
		default:
			s.fault(line, column,
				"is not known: reference, account, amount, currency, purpose, label:NAME and extra:KEY are")
			known = ""
		}
		if at := slices.Index(s.columns, known); known != "" && at >= 0 {
			s.fault(line, column, "is also column %d", at+1)
		}
		s.columns = append(s.columns, known)
		if known != "" {
			s.sheet.Columns[known] = show(name)
		}
	}
	for _, required := range []string{reference, account, amount, currency} {
		if !slices.Contains(s.columns, required) && (required != currency || s.options.Currency == "") {
			s.fault(line, -1, "the column %s is missing", required)
		}
	}
}

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// row reads one item.
func (s *sheetReader) row(line int, row []string) {
	if strings.TrimSpace(strings.Join(row, "")) == "" {
		return
	}
	before := len(s.faults)
	for column, value := range row {
		at := strings.IndexFunc(value, unicode.IsControl)
		switch {
		case at >= 0 && strings.ContainsAny(value[at:at+1], "\r\n"):
			s.fault(line, column, "holds a line break: close its quote on the same line")
		case at >= 0:
			s.fault(line, column, "holds a control character")
		case strings.ContainsRune(value, utf8.RuneError):
			s.fault(line, column, "holds a character that was lost when the file was converted")
		case column >= len(s.columns) && strings.TrimSpace(value) != "":
			s.fault(line, column,
				"holds %q, but the first line names %d columns: a value that holds a %q must be in quotes", show(value),
				len(s.columns), s.comma)
		}
	}
	if len(row) < len(s.columns) {
		s.fault(line, -1, "has %d columns instead of %d", len(row), len(s.columns))
	}
	if len(s.faults) > before {
		return
	}
	item := batch.Item{Amount: batch.Money{Currency: s.options.Currency}}
	decimal, decimalColumn, currencyColumn := "", -1, -1
	for column, known := range s.columns {
		value := strings.TrimSpace(row[column])
		required := false
		switch {
		case known == reference:
			item.Reference, required = value, true
		case known == account:
			item.Account, required = value, true
		case known == amount:
			decimal, decimalColumn, required = value, column, true
		case known == currency:
			if currencyColumn = column; value != "" {
				item.Amount.Currency = value
			}
			required = s.options.Currency == ""
		case known == purpose:
			item.Purpose = value
		case strings.HasPrefix(known, label) && value != "":
			item.Labels = with(item.Labels, s.key(column, label), value)
		case strings.HasPrefix(known, extra) && value != "":
			item.Extra = with(item.Extra, s.key(column, extra), value)
		}
		switch {
		case required && value == "":
			s.fault(line, column, "is empty")
		case (known == reference || known == account) && changed.MatchString(value):
			s.fault(line, column, "is %q: a spreadsheet has changed it; format the column as text and enter it again",
				show(value))
		}
	}
	if decimal != "" && item.Amount.Currency != "" {
		minor, at, err := s.money(decimal, item.Amount.Currency)
		if item.Amount.Minor = minor; err != nil {
			if at == currency {
				s.fault(line, currencyColumn, "%v", err)
			} else {
				s.fault(line, decimalColumn, "%v", err)
			}
		}
	}
	if earlier, twice := s.first[item.Reference]; twice && item.Reference != "" {
		s.fault(line, slices.Index(s.columns, reference), "%q is also that of line %d", show(item.Reference), earlier)
	} else {
		s.first[item.Reference] = line
	}
	s.sheet.Items = append(s.sheet.Items, item)
	s.sheet.Lines = append(s.sheet.Lines, line)
}

// key is the part of a column's name behind its kind, in the case of the file.
func (s *sheetReader) key(column int, kind string) string {
	name := strings.TrimSpace(s.names[column])
	for from, to := range s.options.Rename {
		if fold(from) == fold(name) {
			name = strings.TrimSpace(to)
			break
		}
	}
	return strings.TrimSpace(name[len(kind):])
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = make(map[string]string)
	}
	m[key] = value
	return m
}

// changed matches what a spreadsheet makes of a long number.
var changed = regexp.MustCompile(`^[0-9][.,][0-9]+[eE]\+[0-9]+$`)

// money reads an amount exactly. The column that is at fault comes with the
// error.
func (s *sheetReader) money(text, code string) (minor int64, at string, err error) {
	exponent, known := batch.Exponent(code)
	if !known {
		if exponent, known = s.options.Exponents[code]; !known {
			return 0, currency, fmt.Errorf("%q is not an ISO 4217 code in capitals", show(code))
		}
	}
	plain, err := s.plain(text)
	if err != nil {
		return 0, amount, err
	}
	if minor, err = batch.ParseDecimal(plain, exponent); err != nil {
		after := ""
		if s.options.Decimal == ',' {
			after = " after a comma"
		}
		return 0, amount, fmt.Errorf("%q is not an amount: a decimal number with at most %d decimals%s would be right",
			show(text), exponent, after)
	}
	if minor < 0 {
		return 0, amount, fmt.Errorf("%q is negative: the direction of the batch says which way money moves",
			show(text))
	}
	return minor, "", nil
}

// grouped has the digits of an amount in groups of three, all divided by the
// same character.
var grouped = regexp.MustCompile(
	`^[0-9]{1,3}(?:(?:,[0-9]{3})+|(?:\.[0-9]{3})+|(?:'[0-9]{3})+|(?:\x{2019}[0-9]{3})+|(?:[ \x{a0}\x{2009}\x{202f}][0-9]{3})+)$`)

// plain writes an amount as batch.ParseDecimal reads it.
func (s *sheetReader) plain(text string) (string, error) {
	if s.options.Decimal == 0 {
		if strings.ContainsAny(text, ",' \u00a0\u2009\u202f\u2019") {
			return "",
				fmt.Errorf(
					"%q can be read in two ways: write 1234.50, or say which character comes before the decimals",
					show(text))
		}
		return text, nil
	}
	whole, decimals, point := strings.Cut(text, string(s.options.Decimal))
	if grouped.MatchString(whole) {
		whole = strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return r
			}
			return -1
		}, whole)
	}
	if strings.Contains(whole, ".") {
		return "", fmt.Errorf("%q is not an amount: a point would have to stand before each three digits", show(text))
	}
	if point {
		whole += "." + decimals
	}
	return whole, nil
}

// show cuts what an error quotes.
func show(s string) string {
	const most = 60
	if s = strings.TrimSpace(s); len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
