package snapbill

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// XID names an object in all of SnapBill: "{account}:{object}". It is unique
// per class of objects, where a bare number is unique only in one account.
type XID string

// UnmarshalJSON keeps the value.
func (x *XID) UnmarshalJSON(text []byte) error { return (*Text)(x).UnmarshalJSON(text) }

// NewXID encodes the xid of an object of an account. (SnapBill's own clients
// are wrong from 16,777,216 up; this is what its service sends.)
func NewXID(account, object uint32) XID { return XID(encodeHalf(account) + ":" + encodeHalf(object)) }

// Decode returns the numbers of the account and of the object.
func (x XID) Decode() (account, object uint32, err error) {
	left, right, ok := strings.Cut(string(x), ":")
	if !ok {
		return 0, 0, fmt.Errorf("%.40q is not a valid xid", string(x))
	}
	if account, err = decodeHalf(left); err == nil {
		object, err = decodeHalf(right)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%.40q is not a valid xid: %w", string(x), err)
	}
	return account, object, nil
}

// encodeHalf writes a number in base64url, three bytes at a time, without
// leading zeros.
func encodeHalf(n uint32) string {
	var number [6]byte
	binary.BigEndian.PutUint32(number[2:], n)
	return strings.TrimLeft(base64.RawURLEncoding.EncodeToString(number[:]), "A")
}

func decodeHalf(text string) (uint32, error) {
	if text == "" || len(text) > 8 {
		return 0, errors.New("a half must have 1 to 8 characters")
	}
	if strings.ContainsAny(text, "\r\n") { // The decoder passes over them.
		return 0, errors.New("a half is not base64url")
	}
	number, err := base64.RawURLEncoding.Strict().DecodeString(strings.Repeat("A", 8-len(text)) + text)
	switch {
	case err != nil:
		return 0, errors.New("a half is not base64url")
	case number[0] != 0 || number[1] != 0:
		return 0, errors.New("a half exceeds 32 bits")
	}
	return binary.BigEndian.Uint32(number[2:]), nil
}

// address is what may stand for an object in a path: its number in the
// account, or its xid.
var address = regexp.MustCompile(`^([1-9][0-9]{0,9}|[0-9A-Za-z_-]{1,8}:[0-9A-Za-z_-]{1,8})$`)
