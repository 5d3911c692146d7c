package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A store is the file of -state: a line of JSON for every request that a
// service has applied, every click and every file. To restore the state, the
// sandbox does all of it again, at the times it had. Without a file it keeps
// nothing.
type store struct {
	failed chan error // ends the sandbox: its state cannot be kept any more

	mu   sync.Mutex
	path string
	file *os.File
	seed string
}

// A record is one line of the file; each has one of these.
type record struct {
	Began   *began            `json:"began,omitempty"` // the first line
	Service string            `json:"service,omitempty"`
	Request *batchsim.Applied `json:"request,omitempty"`
	Click   *click            `json:"click,omitempty"`
	File    *file             `json:"file,omitempty"`
}

// began is what the sandbox must have in common with the one that wrote the file.
type began struct {
	Page string `json:"page"` // its files are fetched from there
	Seed string `json:"seed"` // of the services' IDs
}

// A click is a change by the page or the API.
type click struct {
	What string     `json:"what"`
	Form url.Values `json:"form,omitempty"`
	Now  time.Time  `json:"now"` // of the service
}

type file struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

// keep writes a record. A record whose write was interrupted, as by kill -9, is
// the last one and lacks its line feed: nothing was answered, and it is dropped.
func (s *store) keep(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	if err != nil {
		s.failed <- fmt.Errorf("the state cannot be kept: %w", errors.Join(err, s.file.Close()))
		s.file = nil
	}
}

func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
	}
}

// random is the source of the IDs of a service that was started anew n times.
func (s *store) random(service string, n int) io.Reader {
	if s.seed == "" {
		return nil
	}
	return mathrand.NewChaCha8(sha256.Sum256(fmt.Append(nil, s.seed, " ", service, " ", n)))
}

// restore does all that the file has, and keeps what comes from now on.
func (s *sandbox) restore(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The person names it.
	if err != nil {
		return err
	}
	good, err := s.replay(f)
	if err == nil {
		_, err = f.Seek(good, io.SeekStart) // What remains of half a line has no line feed: it is dropped again.
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	s.store.mu.Lock()
	s.store.path, s.store.file = path, f
	s.store.mu.Unlock()
	if good == 0 {
		s.store.keep(record{Began: &began{s.url, s.store.seed}})
	}
	return nil
}

// replay returns how many bytes of the file are whole lines.
func (s *sandbox) replay(f io.Reader) (good int64, err error) {
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if n == 1 {
				s.store.seed = rand.Text()
				s.renew()
			}
			return good, nil
		}
		if err != nil {
			return good, err
		}
		var r record
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err = d.Decode(&r); err == nil {
			err = s.again(n, r)
		}
		if err != nil {
			return good, fmt.Errorf("line %d: %w", n, err)
		}
		good += int64(len(line))
	}
}

// again does what a record says.
func (s *sandbox) again(n int, r record) error {
	if (n == 1) != (r.Began != nil) {
		return errors.New("this is not a file of -state")
	}
	service := s.service(r.Service)
	switch {
	case r.Began != nil:
		if r.Began.Page != s.url {
			return fmt.Errorf("the page was at %s, and is at %s: choose the same -port", r.Began.Page, s.url)
		}
		s.store.seed = r.Began.Seed
		s.renew()
		return nil
	case r.File != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.files[r.File.Name] = r.File.Content
		return nil
	case service == nil:
		return fmt.Errorf("the service %q is not known", r.Service)
	case r.Request != nil:
		_, kit := service.now()
		return kit.Replay(*r.Request)
	case r.Click != nil:
		return service.click(*r.Click)
	}
	return errors.New("the line says nothing")
}
