package centrapay

import (
	"bufio"
	"encoding/json"
	"iter"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// million yields farmlands records as a nightly file has them: every account
// with its balance and a contact, every second contact with a card.
func million(n int) iter.Seq[FarmlandsAsset] {
	return func(yield func(FarmlandsAsset) bool) {
		var balance int64
		contacts := make([]FarmlandsContact, 1)
		var ids [1000]string
		for i := range ids {
			ids[i] = "69d64d80-f9bd-4057-bc5b-1c55685d9" + strconv.Itoa(i)
		}
		cards := []FarmlandsCard{{ExternalID: "card-1", Barcode: "976238759", Number: "1464549137071848",
			Status: "active",
			Expiry: time.Date(2030, 10, 1, 22, 32, 56, 631e6, time.UTC)}}
		for i := range n {
			balance = int64(i)
			contacts[0] = FarmlandsContact{ExternalID: "6e496c2a-1dae-4036-847d-c53bf6c6d410", Name: "Road Runner",
				Mobile: "+64221105598", Email: "road@runner.net", Primary: true}
			if i%2 == 0 {
				contacts[0].Cards = cards
			}
			if !yield(FarmlandsAsset{ExternalID: ids[i%len(ids)], AccountNumber: "012345678",
				AvailableBalance: &balance, Contacts: contacts}) {
				return
			}
		}
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

const benchRecords = 1_000_000

// BenchmarkEncode streams a million farmlands records.
func BenchmarkEncode(b *testing.B) {
	var size counter
	b.ReportAllocs()
	peak := peakHeap(b, func() {
		for b.Loop() {
			size.n = 0
			if n, err := Encode(&size, million(benchRecords)); err != nil || n != benchRecords {
				b.Fatal(n, err)
			}
		}
	})
	b.SetBytes(size.n)
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// BenchmarkEncodingJSON is the floor: the same structs, unchecked, and as fast
// as encoding/json can be made to write them.
func BenchmarkEncodingJSON(b *testing.B) {
	var size counter
	b.ReportAllocs()
	for b.Loop() {
		size.n = 0
		w := bufio.NewWriterSize(&size, 64<<10)
		e := json.NewEncoder(w)
		var record FarmlandsAsset // One variable for all: a fresh one would be an allocation for each.
		for record = range million(benchRecords) {
			if err := e.Encode(&record); err != nil {
				b.Fatal(err)
			}
		}
		_ = w.Flush()
	}
	b.SetBytes(size.n)
}

// peakHeap runs f and returns by how much the heap has grown at the most.
func peakHeap(tb testing.TB, f func()) uint64 {
	tb.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, peak := m.HeapAlloc, uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc-min(base, now.HeapAlloc))
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak
}
