// Package record is what the durable journals have in common: the keys and
// names that they refuse.
package record

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// MaxName is the length of the longest name that an entry can claim, in bytes.
const MaxName = 1000

// An Owner is the account that a journal was opened for.
type Owner struct{ Provider, Account string }

// OwnerOf returns the account that i describes. It returns an error if the
// account cannot be kept.
func OwnerOf(i batch.Info) (Owner, error) {
	o := Owner{i.Name, i.Account}
	return o, o.Refuse(batch.Key{Provider: o.Provider, Account: o.Account})
}

// RefuseAccount returns ErrInvalid if the account is not o.
func (o Owner) RefuseAccount(provider, account string) error {
	if provider != o.Provider || account != o.Account {
		return invalid("the journal was opened for %s of %s, not for %s of %s: open one for that account",
			o.Account, o.Provider, account, provider)
	}
	return nil
}

// Refuse returns ErrInvalid if key belongs to another account, or cannot be
// kept as it is.
func (o Owner) Refuse(key batch.Key) error {
	if err := o.RefuseAccount(key.Provider, key.Account); err != nil {
		return err
	}
	for _, text := range []string{key.Provider, key.Account, key.Reference} {
		if err := Text(text); err != nil {
			return err
		}
	}
	return nil
}

// Text returns ErrInvalid if a store cannot keep text as it is.
func Text(text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return invalid("%q must be UTF-8 without a NUL: no other text can be kept", text)
	}
	return nil
}

// Names returns the names that e claims and those that it only releases,
// sorted and each once. Releases come first, so a name in both lists is
// claimed.
func Names(e batch.Entry) (claims, releases []string, err error) {
	for _, name := range slices.Concat(e.Claims, e.Releases) {
		if len(name) == 0 || len(name) > MaxName {
			return nil, nil, invalid("the name %.80q in entry %d has %d bytes: a name must have 1 to %d", name, e.Seq,
				len(name), MaxName)
		}
		if err := Text(name); err != nil {
			return nil, nil, err
		}
	}
	claims = slices.Compact(slices.Sorted(slices.Values(e.Claims)))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(e.Releases))) {
		if _, both := slices.BinarySearch(claims, name); !both {
			releases = append(releases, name)
		}
	}
	return claims, releases, nil
}

func invalid(format string, args ...any) error {
	return &batch.Error{Kind: batch.ErrInvalid, Op: "Journal", Message: fmt.Sprintf(format, args...)}
}
