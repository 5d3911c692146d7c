package centrapaytest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A record is what the service understands of one record of a file.
type record struct {
	id         string // of the effect: the external id, or the nearest that the type has
	externalID string
	named      string // what an error calls it, of a type without external ids
	account    string
	cents      int64
	fault      string // the error of the record, if it has one
}

// The records, written from Centrapay's documentation and not from the client.
type (
	farmlandsAccount struct {
		ExternalID    string             `json:"externalId"`
		AccountNumber string             `json:"accountNumber"`
		Available     *string            `json:"availableBalance"`
		Contacts      []farmlandsContact `json:"contacts"`
	}
	farmlandsContact struct {
		ExternalID string          `json:"externalId"`
		Name       string          `json:"name"`
		Mobile     string          `json:"mobile"`
		Email      string          `json:"email"`
		Primary    bool            `json:"primary"`
		Cards      []farmlandsCard `json:"cards"`
	}
	farmlandsCard struct {
		ExternalID      string `json:"externalId"`
		Barcode         string `json:"barcode"`
		Number          string `json:"number"`
		Status          string `json:"status"`
		Expiry          string `json:"expiry"`
		FarmlandsStatus string `json:"farmlandsStatus"`
	}
	ticket struct {
		Barcode       string `json:"barcodeClear"`
		Quantity      int    `json:"quantity"`
		PriceTypeCode string `json:"priceTypeCode"`
		ProductID     string `json:"productId"`
		OrderID       string `json:"orderId"`
		PriceTypeName string `json:"priceTypeName"`
		MemberNumber  string `json:"memberNumber"`
	}
	terminal struct {
		MerchantID        string          `json:"merchantId"`
		MerchantConfigID  string          `json:"merchantConfigId"`
		MerchantName      string          `json:"merchantName"`
		Description       string          `json:"description"`
		Model             string          `json:"model"`
		TerminalID        string          `json:"terminalId"`
		DeviceID          string          `json:"deviceId"`
		Status            string          `json:"status"`
		StatusMessage     string          `json:"statusMessage"`
		FirstSeen         string          `json:"firstSeen"`
		LastSeen          string          `json:"lastSeen"`
		ConfigVersion     json.RawMessage `json:"configVersion"` // a string by the table, a number in the samples
		ConfigUpdatedAt   string          `json:"configUpdatedAt"`
		SoftwareVersion   string          `json:"softwareVersion"`
		SoftwareUpdatedAt string          `json:"softwareUpdatedAt"`
	}
)

var parsers = map[string]func(line []byte) (record, error){
	"farmlands-external-asset": parseFarmlands,
	"ticketek-ticket":          parseTicket,
	"verifone-terminal-status": parseTerminal,
	"business-onboard":         nil, // CSV
}

var errFile = errors.New("the file cannot be read")

// parse reads a file. Its error means that the file as a whole is unreadable.
func (s *Server) parse(batchType string, content []byte) ([]record, error) {
	if len(content) == 0 || !utf8.Valid(content) {
		return nil, errFile
	}
	if batchType == "business-onboard" {
		return parseBusinesses(content)
	}
	var records []record
	// A newline stands between records, and may end the last.
	for line := range bytes.Lines(content) {
		r, err := parsers[batchType](bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			if !s.options.SkipBadLines {
				return nil, errFile
			}
			r = record{fault: "INVALID_RECORD"}
		}
		records = append(records, r)
	}
	return records, nil
}

var (
	digits   = regexp.MustCompile(`^[0-9]+$`)
	mobileNZ = regexp.MustCompile(`^\+64[0-9]+$`)
	cents    = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
)

func parseFarmlands(line []byte) (record, error) {
	var in farmlandsAccount
	if err := decode(line, &in); err != nil {
		return record{}, err
	}
	r := record{id: in.ExternalID, externalID: in.ExternalID, account: in.AccountNumber}
	switch {
	case in.ExternalID == "":
		r.fault = "EXTERNAL_ID_REQUIRED"
	case in.AccountNumber == "000000000":
		r.fault = "INVALID_ACCOUNT_NUMBER"
	case in.AccountNumber == "000000404":
		r.fault = "ACCOUNT_NOT_FOUND"
	}
	if in.Available != nil {
		n, err := strconv.ParseInt(*in.Available, 10, 64)
		if r.cents = n; err != nil || !cents.MatchString(*in.Available) {
			r.fault = "INVALID_BALANCE"
		}
	}
	for _, c := range in.Contacts {
		if c.Mobile != "" && !mobileNZ.MatchString(c.Mobile) {
			r.fault = "INVALID_MOBILE"
		}
		for _, card := range c.Cards {
			switch {
			case len(card.Barcode) != 9:
				r.fault = "INVALID_BARCODE_LENGTH"
			case !digits.MatchString(card.Barcode):
				r.fault = "INVALID_BARCODE"
			case card.Number != "" && (len(card.Number) != 16 || !digits.MatchString(card.Number)):
				r.fault = "INVALID_CARD_NUMBER"
			case !slices.Contains([]string{"", "active", "inactive", "archived"}, card.Status):
				r.fault = "INVALID_CARD_STATUS"
			case card.Expiry != "" && !timestamp(card.Expiry):
				r.fault = "INVALID_EXPIRY"
			}
		}
	}
	return r, nil
}

// timestamp is ISO 8601 in UTC with a Z.
func timestamp(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil && strings.HasSuffix(s, "Z")
}

func parseTicket(line []byte) (record, error) {
	var in ticket
	if err := decode(line, &in); err != nil {
		return record{}, err
	}
	r := record{id: in.Barcode, named: in.Barcode, account: in.MemberNumber}
	if in.Quantity != 1 && in.Quantity != -1 {
		r.fault = "INVALID_QUANTITY"
	}
	return r, nil
}

func parseTerminal(line []byte) (record, error) {
	var in terminal
	if err := decode(line, &in); err != nil {
		return record{}, err
	}
	r := record{id: in.DeviceID, named: in.TerminalID, account: in.MerchantID}
	if in.Status != "active" && in.Status != "inactive" {
		r.fault = "INVALID_STATUS"
	}
	return r, nil
}

var (
	businessColumns = strings.Split(
		"nzbn,companyName,tradingName,contactName,primaryContactEmail,externalBusinessId,categoryCode,"+
			"settlementAccountNumber,chargeAccountNumber,assetProgramId,merchantName,merchantStreet,merchantSuburb,merchantCity,merchantState,"+
			"merchantPostcode,merchantCountry,merchantType,externalMerchantId,salesChannelId,deviceId,deviceSerialNumber,deviceModel", ",")
	businessRequired = []string{"companyName", "contactName", "primaryContactEmail", "externalBusinessId",
		"categoryCode",
		"settlementAccountNumber", "assetProgramId", "merchantName", "merchantCountry", "merchantType",
		"externalMerchantId", "salesChannelId"}
)

func parseBusinesses(content []byte) ([]record, error) {
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll() // All rows as long as the header.
	if err != nil || len(rows) < 2 {
		return nil, errFile
	}
	place := make(map[string]int)
	for n, column := range rows[0] {
		if _, twice := place[column]; twice || !slices.Contains(businessColumns, column) {
			return nil, errFile
		}
		place[column] = n
	}
	var records []record
	for _, row := range rows[1:] {
		get := func(column string) string {
			if n, ok := place[column]; ok {
				return row[n]
			}
			return ""
		}
		id := get("externalBusinessId")
		r := record{id: id, externalID: id, account: get("settlementAccountNumber")}
		for _, column := range businessRequired {
			if get(column) == "" {
				r.fault = "MISSING_" + strings.ToUpper(column)
			}
		}
		switch kind := get("merchantType"); {
		case kind != "physical" && kind != "e-commerce":
			r.fault = "INVALID_MERCHANT_TYPE"
		case kind == "physical" && (get("merchantStreet") == "" || get("merchantCity") == ""):
			r.fault = "INVALID_ADDRESS"
		case get("deviceId") == "" && get("deviceSerialNumber") == "":
			r.fault = "MISSING_DEVICE"
		}
		records = append(records, r)
	}
	return records, nil
}
