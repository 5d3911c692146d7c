package boltjournal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"go.etcd.io/bbolt"
)

// checkPages refuses a file whose pages bolt must not follow. Bolt believes
// every number in a page: one flipped bit makes it allocate gigabytes, or walk
// in a circle until the memory is full, which nothing can recover from.
//
// Afterwards every page is used once, by a bucket or as free, and every key
// and value is in order and inside of its page. What they say is for verify.
//
// Source: the file format of go.etcd.io/bbolt v1.5, internal/common.
func checkPages(db *bbolt.DB, file io.ReaderAt) error {
	return db.View(func(tx *bbolt.Tx) error {
		p, ids, err := usedPages(db, tx, file)
		for _, id := range ids {
			if err == nil {
				err = p.free(id)
			}
		}
		return err
	})
}

// usedPages are the pages that hold the buckets of tx and the list of the free
// pages, and what that list says.
func usedPages(db *bbolt.DB, tx *bbolt.Tx, file io.ReaderAt) (p pages, free []uint64, err error) {
	size := db.Info().PageSize
	p = pages{file: file, size: size, used: make([]bool, tx.Size()/int64(size))}
	if err := p.tree(uint64(tx.Cursor().Bucket().Root()), keys{}); err != nil {
		return p, nil, err
	}
	// The meta page of a transaction is the one of its parity.
	freelist := make([]byte, 8)
	if _, err := file.ReadAt(freelist, int64(tx.ID()%2*size)+headerSize+32); err != nil {
		return p, nil, err
	}
	free, err = p.freelist(binary.NativeEndian.Uint64(freelist))
	return p, free, err
}

const (
	headerSize  = 16 // of a page: its number, flags, count and overflow
	elementSize = 16 // of a key in a page
	bucketSize  = 16 // of a bucket: its root page and its sequence

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01 // the value of a key in a leaf is a bucket
	noFreelist    = math.MaxUint64
)

// pages are the pages of a file below its high-water mark.
type pages struct {
	file io.ReaderAt
	size int
	used []bool // by number
}

// page is one page with those that it overflows into.
type page []byte

func (p page) flags() uint16 { return binary.NativeEndian.Uint16(p[8:]) }
func (p page) count() int    { return int(binary.NativeEndian.Uint16(p[10:])) }

// take reads page id, and marks it as used.
func (p *pages) take(id uint64) (page, error) {
	if id < 2 || id >= uint64(len(p.used)) {
		return nil, fmt.Errorf("page %d is not one of its %d pages", id, len(p.used))
	}
	header := make([]byte, headerSize)
	if _, err := p.file.ReadAt(header, int64(id)*int64(p.size)); err != nil {
		return nil, err
	}
	number, overflow := binary.NativeEndian.Uint64(header), uint64(binary.NativeEndian.Uint32(header[12:]))
	if number != id {
		return nil, fmt.Errorf("page %d says that it is page %d", id, number)
	}
	if overflow >= uint64(len(p.used))-id {
		return nil, fmt.Errorf("page %d is longer than the file", id)
	}
	for n := id; n <= id+overflow; n++ {
		if err := p.use(n); err != nil {
			return nil, err
		}
	}
	whole := make(page, int64(overflow+1)*int64(p.size))
	_, err := p.file.ReadAt(whole, int64(id)*int64(p.size))
	return whole, err
}

func (p *pages) use(id uint64) error {
	if p.used[id] {
		return fmt.Errorf("page %d is used twice", id)
	}
	p.used[id] = true
	return nil
}

// keys are those that may stand in a page: from low on, and below high if
// there is a high.
type keys struct{ low, high []byte }

// next takes the next key of a page.
func (k *keys) next(key []byte) error {
	if len(key) == 0 || bytes.Compare(key, k.low) < 0 || k.high != nil && bytes.Compare(key, k.high) >= 0 {
		return fmt.Errorf("key %q is out of order", key)
	}
	k.low = append(bytes.Clone(key), 0) // The least key that follows.
	return nil
}

// bucket checks a bucket, which has a tree of pages or is small and in the
// page of its parent.
func (p *pages) bucket(value []byte) error {
	if len(value) < bucketSize {
		return errors.New("half a bucket")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return p.tree(root, keys{})
	}
	small := page(value[bucketSize:])
	if len(small) < headerSize || small.flags() != leafPage {
		return errors.New("a small bucket that is not a leaf")
	}
	return small.leaf(keys{}, func([]byte) error { return errors.New("a bucket in a small bucket") })
}

// tree checks a page of a bucket, and all below it.
func (p *pages) tree(id uint64, k keys) error {
	whole, err := p.take(id)
	if err != nil {
		return err
	}
	switch whole.flags() {
	case leafPage:
		err = whole.leaf(k, p.bucket)
	case branchPage:
		err = whole.branch(k, p.tree)
	default:
		err = fmt.Errorf("kind %#x is not one of a bucket", whole.flags())
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// leaf checks keys and values, and calls bucket with every value that is one.
func (p page) leaf(k keys, bucket func(value []byte) error) error {
	for n := range p.count() {
		element, err := p.element(n)
		if err != nil {
			return err
		}
		flags, position := binary.NativeEndian.Uint32(element), uint64(binary.NativeEndian.Uint32(element[4:]))
		key := uint64(binary.NativeEndian.Uint32(element[8:]))
		value := uint64(binary.NativeEndian.Uint32(element[12:]))
		if position+key+value > uint64(len(element)) {
			return errors.New("a key or a value is outside of it")
		}
		if err := k.next(element[position : position+key]); err != nil {
			return err
		}
		if flags&bucketElement == 0 {
			continue
		}
		if err := bucket(element[position+key : position+key+value]); err != nil {
			return err
		}
	}
	return nil
}

// branch checks the first keys of the pages below, and calls tree with each.
func (p page) branch(k keys, tree func(id uint64, k keys) error) error {
	if p.count() == 0 {
		return errors.New("no page is below it")
	}
	var children []uint64
	var firsts [][]byte
	for n := range p.count() {
		element, err := p.element(n)
		if err != nil {
			return err
		}
		position, key := uint64(binary.NativeEndian.Uint32(element)), uint64(binary.NativeEndian.Uint32(element[4:]))
		if position+key > uint64(len(element)) {
			return errors.New("a key is outside of it")
		}
		if err := k.next(element[position : position+key]); err != nil {
			return err
		}
		firsts = append(firsts, element[position:position+key])
		children = append(children, binary.NativeEndian.Uint64(element[8:]))
	}
	for n, child := range children {
		below := keys{low: firsts[n], high: k.high}
		if n+1 < len(firsts) {
			below.high = firsts[n+1]
		}
		if err := tree(child, below); err != nil {
			return err
		}
	}
	return nil
}

// element returns the bytes of a page from element n on: the position of its
// key counts from there.
func (p page) element(n int) ([]byte, error) {
	at := headerSize + n*elementSize
	if at+elementSize > len(p) {
		return nil, errors.New("it has more keys than fit")
	}
	return p[at:], nil
}

// freelist reads the list of free pages, if the file has one.
func (p *pages) freelist(list uint64) (free []uint64, err error) {
	if list == noFreelist {
		return nil, nil
	}
	whole, err := p.take(list)
	if err != nil {
		return nil, err
	}
	if whole.flags() != freelistPage {
		return nil, fmt.Errorf("page %d is of kind %#x, not the list of free pages", list, whole.flags())
	}
	count, ids := uint64(whole.count()), whole[headerSize:]
	if count == math.MaxUint16 { // The first number is the count.
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return nil, fmt.Errorf("page %d lists more free pages than fit", list)
	}
	for n := range count {
		free = append(free, binary.NativeEndian.Uint64(ids[n*8:]))
	}
	return free, nil
}

// free marks a page that the list of free pages names.
func (p *pages) free(id uint64) error {
	if id < 2 || id >= uint64(len(p.used)) {
		return fmt.Errorf("free page %d is not one of its %d pages", id, len(p.used))
	}
	return p.use(id)
}
