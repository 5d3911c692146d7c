package centrapay

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// A Record is one record of a file: a FarmlandsAsset, TicketekTicket, Business
// or TerminalStatus.
type Record interface {
	// BatchType is the type of the batches that take this record.
	BatchType() string
	// externalID is the id under which the service keeps the record, if it has one.
	externalID() string
	// errorID is how the service names the record in errors, if it can.
	errorID() string
	// faults reports what breaks a documented rule.
	faults(report func(field, message string))
}

// FarmlandsAsset is an account of TypeFarmlandsExternalAsset (documented). The
// service creates or updates the one with the same ExternalID, so that loading
// the same file twice converges as long as no newer one was loaded in between.
type FarmlandsAsset struct {
	ExternalID    string `json:"externalId"`
	AccountNumber string `json:"accountNumber,omitempty"` // nine digits in the samples

	// AvailableBalance is in cents, and is spendable value. What nil means is
	// not clear: 0 by the documented table, no change by the samples.
	AvailableBalance *int64 `json:"availableBalance,string,omitempty"`

	// Contacts: nil leaves them as they are, and an empty list removes all,
	// without which the balance cannot be spent.
	Contacts []FarmlandsContact `json:"contacts,omitzero"`
}

// FarmlandsContact is a person who may use an account.
type FarmlandsContact struct {
	ExternalID string          `json:"externalId"`
	Name       string          `json:"name,omitempty"`
	Mobile     string          `json:"mobile,omitempty"` // "+64" and digits
	Email      string          `json:"email,omitempty"`
	Primary    bool            `json:"primary,omitempty"` // the owner of the account
	Cards      []FarmlandsCard `json:"cards,omitzero"`    // nil leaves them as they are, an empty list removes all
}

// FarmlandsCard is a card of a contact.
type FarmlandsCard struct {
	ExternalID      string    `json:"externalId"`
	Barcode         string    `json:"barcode,omitempty"` // nine digits, unique
	Number          PAN       `json:"number,omitempty"`  // 16 digits
	Status          string    `json:"status,omitempty"`  // active, inactive or archived
	Expiry          time.Time `json:"expiry,omitzero"`   // in UTC
	FarmlandsStatus string    `json:"farmlandsStatus,omitempty"`
}

// PAN is the number of a payment card: marshalled as it is, printed as its
// last four digits.
type PAN string

// Format prints the last four digits.
func (p PAN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.masked()) }

// LogValue logs the last four digits.
func (p PAN) LogValue() slog.Value { return slog.StringValue(p.masked()) }

func (p PAN) masked() string {
	if len(p) <= 4 {
		return strings.Repeat("*", len(p))
	}
	return strings.Repeat("*", len(p)-4) + string(p[len(p)-4:])
}

// TicketekTicket is a sale of TypeTicketekTicket (documented). Nothing says
// that loading one twice converges: assume that it sells twice.
type TicketekTicket struct {
	BarcodeClear  string `json:"barcodeClear"`
	Quantity      int    `json:"quantity"` // 1 is a purchase, -1 a cancellation
	PriceTypeCode string `json:"priceTypeCode"`
	ProductID     string `json:"productId"`
	OrderID       string `json:"orderId"` // "20231206,886"
	PriceTypeName string `json:"priceTypeName"`
	MemberNumber  string `json:"memberNumber,omitempty"`
}

// Business is a business with its merchant and device, of TypeBusinessOnboard
// (documented). It is the one record that travels as CSV.
type Business struct {
	NZBN                    string // 13 digits; optional
	CompanyName             string
	TradingName             string // optional
	ContactName             string
	PrimaryContactEmail     string
	ExternalBusinessID      string
	CategoryCode            string // the merchant category code
	SettlementAccountNumber string // "00-1234-0322592-001" in the sample
	ChargeAccountNumber     string // optional: the settlement account
	AssetProgramID          string
	MerchantName            string
	MerchantStreet          string // required if MerchantType is physical
	MerchantSuburb          string // optional
	MerchantCity            string // required if MerchantType is physical
	// MerchantState is documented as required if MerchantType is physical, but
	// the documented sample has none: an empty one is not refused.
	MerchantState      string
	MerchantPostcode   string // optional
	MerchantCountry    string
	MerchantType       string // physical or e-commerce
	ExternalMerchantID string
	SalesChannelID     string
	DeviceID           string // this or DeviceSerialNumber
	DeviceSerialNumber string
	DeviceModel        string // optional
}

// TerminalStatus is the status of a terminal, of TypeVerifoneTerminalStatus.
// It was documented until May 2025; whether the service still takes it is not
// known. No field is required.
type TerminalStatus struct {
	MerchantID       string `json:"merchantId,omitempty"`
	MerchantConfigID string `json:"merchantConfigId,omitempty"`
	MerchantName     string `json:"merchantName,omitempty"`
	Description      string `json:"description,omitempty"`
	Model            string `json:"model,omitempty"`
	TerminalID       string `json:"terminalId,omitempty"` // "325-136-329"
	DeviceID         string `json:"deviceId,omitempty"`   // serial number of the hardware
	Status           string `json:"status,omitempty"`     // active or inactive
	StatusMessage    string `json:"statusMessage,omitempty"`
	FirstSeen        string `json:"firstSeen,omitempty"` // RFC 3339
	LastSeen         string `json:"lastSeen,omitempty"`  // RFC 3339
	// a string by the table, a number in the samples: 20220214.1
	ConfigVersion     json.Number `json:"configVersion,omitempty"`
	ConfigUpdatedAt   string      `json:"configUpdatedAt,omitempty"`
	SoftwareVersion   string      `json:"softwareVersion,omitempty"`
	SoftwareUpdatedAt string      `json:"softwareUpdatedAt,omitempty"` // "2022-02-14 09:00:00 UTC"
}

// BatchType is TypeFarmlandsExternalAsset.
func (FarmlandsAsset) BatchType() string { return TypeFarmlandsExternalAsset }

// BatchType is TypeTicketekTicket.
func (TicketekTicket) BatchType() string { return TypeTicketekTicket }

// BatchType is TypeBusinessOnboard.
func (Business) BatchType() string { return TypeBusinessOnboard }

// BatchType is TypeVerifoneTerminalStatus.
func (TerminalStatus) BatchType() string { return TypeVerifoneTerminalStatus }

func (a FarmlandsAsset) externalID() string { return a.ExternalID }
func (TicketekTicket) externalID() string   { return "" }
func (b Business) externalID() string       { return b.ExternalBusinessID }
func (TerminalStatus) externalID() string   { return "" }

func (a FarmlandsAsset) errorID() string { return a.ExternalID }
func (t TicketekTicket) errorID() string { return t.BarcodeClear }
func (b Business) errorID() string       { return b.ExternalBusinessID }
func (t TerminalStatus) errorID() string { return t.TerminalID }

func (a FarmlandsAsset) faults(report func(field, message string)) {
	required(report, "externalId", a.ExternalID)
	text(report, "accountNumber", a.AccountNumber)
	if a.AvailableBalance != nil && *a.AvailableBalance < 0 {
		report("availableBalance", "is negative")
	}
	for i := range a.Contacts {
		if c := &a.Contacts[i]; !c.valid() {
			c.faults(func(field, message string) { report(fmt.Sprintf("contacts[%d].%s", i, field), message) })
		}
	}
}

// valid is faults without an allocation, for the million records that have none.
func (c *FarmlandsContact) valid() bool {
	valid := true
	c.faults(func(string, string) { valid = false })
	return valid
}

func (c *FarmlandsContact) faults(report func(field, message string)) {
	required(report, "externalId", c.ExternalID)
	text(report, "name", c.Name)
	text(report, "email", c.Email)
	if digits, ok := strings.CutPrefix(c.Mobile, "+64"); c.Mobile != "" && (!ok || !isDigits(digits)) {
		report("mobile", "must be +64 followed by digits")
	}
	for i := range c.Cards {
		card := &c.Cards[i]
		field := func(name, message string) { report(fmt.Sprintf("cards[%d].%s", i, name), message) }
		required(field, "externalId", card.ExternalID)
		text(field, "farmlandsStatus", card.FarmlandsStatus)
		if card.Barcode != "" && (len(card.Barcode) != 9 || !isDigits(card.Barcode)) {
			field("barcode", "must be 9 digits")
		}
		if card.Number != "" && (len(card.Number) != 16 || !isDigits(string(card.Number))) {
			field("number", "must be 16 digits")
		}
		switch card.Status {
		case "", "active", "inactive", "archived":
		default:
			field("status", "must be active, inactive or archived")
		}
		if card.Expiry.Location() != time.UTC {
			field("expiry", "must be in UTC")
		} else if !card.Expiry.Before(year10000) {
			field("expiry", "is beyond the year 9999")
		}
	}
}

var year10000 = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

func (t TicketekTicket) faults(report func(field, message string)) {
	required(report, "barcodeClear", t.BarcodeClear)
	if t.Quantity != 1 && t.Quantity != -1 {
		report("quantity", "must be 1 or -1")
	}
	required(report, "priceTypeCode", t.PriceTypeCode)
	required(report, "productId", t.ProductID)
	required(report, "orderId", t.OrderID)
	required(report, "priceTypeName", t.PriceTypeName)
	text(report, "memberNumber", t.MemberNumber)
}

func (b Business) faults(report func(field, message string)) {
	row := b.row()
	for i, column := range businessColumns {
		if slices.Contains(businessRequired, column) {
			required(report, column, row[i])
		} else {
			text(report, column, row[i])
		}
	}
	if b.NZBN != "" && (len(b.NZBN) != 13 || !isDigits(b.NZBN)) {
		report("nzbn", "must be 13 digits")
	}
	switch b.MerchantType {
	case "", "e-commerce": // An empty one is reported above.
	case "physical":
		required(report, "merchantStreet", b.MerchantStreet)
		required(report, "merchantCity", b.MerchantCity)
	default:
		report("merchantType", "must be physical or e-commerce")
	}
	if b.DeviceID == "" && b.DeviceSerialNumber == "" {
		report("deviceId", "is empty, and so is deviceSerialNumber: one is required")
	}
}

// The columns are those of the documented sample and, where the documented
// table puts it, merchantState, which the sample leaves out.
var businessColumns = []string{"nzbn", "companyName", "tradingName", "contactName", "primaryContactEmail",
	"externalBusinessId", "categoryCode", "settlementAccountNumber", "chargeAccountNumber", "assetProgramId",
	"merchantName", "merchantStreet", "merchantSuburb", "merchantCity", "merchantState", "merchantPostcode",
	"merchantCountry", "merchantType", "externalMerchantId", "salesChannelId", "deviceId",
	"deviceSerialNumber", "deviceModel"}

var businessRequired = []string{"companyName", "contactName", "primaryContactEmail", "externalBusinessId",
	"categoryCode",
	"settlementAccountNumber", "assetProgramId", "merchantName", "merchantCountry", "merchantType",
	"externalMerchantId", "salesChannelId"}

// row holds the fields in the order of businessColumns.
func (b Business) row() [23]string {
	return [...]string{b.NZBN, b.CompanyName, b.TradingName, b.ContactName, b.PrimaryContactEmail,
		b.ExternalBusinessID, b.CategoryCode, b.SettlementAccountNumber, b.ChargeAccountNumber, b.AssetProgramID,
		b.MerchantName, b.MerchantStreet, b.MerchantSuburb, b.MerchantCity, b.MerchantState, b.MerchantPostcode,
		b.MerchantCountry, b.MerchantType, b.ExternalMerchantID, b.SalesChannelID, b.DeviceID,
		b.DeviceSerialNumber, b.DeviceModel}
}

func (t TerminalStatus) faults(report func(field, message string)) {
	for _, f := range [...]struct{ name, value string }{
		{"merchantId", t.MerchantID}, {"merchantConfigId", t.MerchantConfigID}, {"merchantName", t.MerchantName},
		{"description", t.Description}, {"model", t.Model}, {"terminalId", t.TerminalID}, {"deviceId", t.DeviceID},
		{"statusMessage", t.StatusMessage}, {"configUpdatedAt", t.ConfigUpdatedAt},
		{"softwareVersion", t.SoftwareVersion}, {"softwareUpdatedAt", t.SoftwareUpdatedAt},
	} {
		text(report, f.name, f.value)
	}
	if t.Status != "" && t.Status != "active" && t.Status != "inactive" {
		report("status", "must be active or inactive")
	}
	if t.ConfigVersion != "" && !decimal.MatchString(string(t.ConfigVersion)) {
		report("configVersion", "must be a number")
	}
	for _, f := range [...]struct{ name, value string }{{"firstSeen", t.FirstSeen}, {"lastSeen", t.LastSeen}} {
		if _, err := time.Parse(time.RFC3339, f.value); f.value != "" && err != nil {
			report(f.name, "must be a time of RFC 3339")
		}
	}
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func required(report func(field, message string), field, value string) {
	if value == "" {
		report(field, "is empty")
	}
	text(report, field, value)
}

// text refuses what an encoder would silently replace, or a reader drop.
func text(report func(field, message string), field, value string) {
	switch {
	case !utf8.ValidString(value):
		report(field, "is not UTF-8")
	case strings.ContainsFunc(value, unicode.IsControl):
		report(field, "holds a control character")
	}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// maxFaults bounds what a file full of faults can take in memory.
const maxFaults = 1000

// Encode writes the file of a batch as it streams from records: JSONL, with a
// newline between two records and none after the last, or CSV with a header for
// Business. It returns how many records it has written.
//
// Every record is checked against the documented rules. The first that breaks
// one ends the writing but not the checking, and the error, ErrInvalid, names
// the index, from 0, and the field of every fault, up to a thousand. What was
// written is then not the file of a batch. Ids that occur twice are not noticed: to
// remember a million would take more memory than the stream.
//
// ErrUnavailable means that w has failed.
func Encode[R Record](w io.Writer, records iter.Seq[R]) (int, error) {
	var record R // One variable for all, so that none is allocated.
	var faults []batch.FieldError
	n, batchType := 0, ""
	report := func(field, message string) {
		if len(faults) < maxFaults {
			faults = append(faults, batch.FieldError{Item: n, Reference: record.externalID(), Field: field,
				Message: message})
		}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var write func() error
	for record = range records {
		if n == 0 {
			if batchType = record.BatchType(); batchType == TypeBusinessOnboard {
				write = csvWriter(out, &record)
			} else {
				write = jsonWriter(out, &record)
			}
		} else if record.BatchType() != batchType {
			report("type", "is not "+batchType+", like the first record")
		}
		record.faults(report)
		if len(faults) == 0 {
			if err := write(); err != nil {
				return n, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: "Encode", Err: err}
			}
		}
		n++
	}
	if n == 0 {
		faults = append(faults, batch.FieldError{Item: -1, Field: "records", Message: "there are none"})
	}
	if err := batch.Invalid(name, "Encode", faults); err != nil {
		return 0, err
	}
	if err := out.Flush(); err != nil {
		return n, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: "Encode", Err: err}
	}
	return n, nil
}

// jsonWriter writes *record as one line, each time that it is called.
func jsonWriter(w *bufio.Writer, record any) func() error {
	e := json.NewEncoder(&lineWriter{w: w})
	e.SetEscapeHTML(false)
	return func() error { return e.Encode(record) }
}

// lineWriter moves the newline that an encoder writes after a record to before the
// next: after the last one, a strict reader would count an empty record.
type lineWriter struct {
	w       *bufio.Writer
	pending bool
}

func (l *lineWriter) Write(p []byte) (int, error) {
	if l.pending {
		_ = l.w.WriteByte('\n') // Its error comes again with the next write.
	}
	l.pending = true
	if _, err := l.w.Write(bytes.TrimSuffix(p, []byte("\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// csvWriter writes the header, and *record each time that it is called. The
// csv.Writer takes w for its own buffer, so that flushing w is enough.
func csvWriter[R Record](w *bufio.Writer, record *R) func() error {
	out := csv.NewWriter(w)
	header := out.Write(businessColumns)
	return func() error {
		if header != nil {
			return header
		}
		row := any(*record).(interface{ row() [23]string }).row()
		return out.Write(row[:])
	}
}
