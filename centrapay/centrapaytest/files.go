package centrapaytest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// files is storage for files under unguessable URLs: what a cloud's bucket
// with pre-signed URLs is in production.
type files struct {
	mu      sync.Mutex
	content map[string][]byte
}

// Upload stores a file in the simulator and returns its URL. It fits
// centrapay.ProviderConfig.
func (s *Server) Upload(_ context.Context, _ string, file io.Reader) (string, error) {
	content, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	token := s.Text()
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if s.files.content == nil {
		s.files.content = make(map[string][]byte)
	}
	s.files.content[token] = content
	return s.URL + "/files/" + token + "?signature=" + s.Text(), nil
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	content, ok := f.content[r.PathValue("token")]
	f.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content)
}
