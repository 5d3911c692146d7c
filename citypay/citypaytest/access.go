package citypaytest

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

func (s *Server) registerIP(r batchsim.Request) batchsim.Reply {
	var in struct {
		IP      string `json:"ip"`
		Expires int64  `json:"exp"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	now := s.Clock.Now()
	switch ip := net.ParseIP(in.IP); {
	case in.IP != "" && (ip == nil || ip.To4() == nil):
		return s.problem("P045", "Field invalid: ip")
	case in.Expires != 0 && (in.Expires <= now.Unix() || in.Expires > now.Add(720*time.Hour).Unix()):
		return s.problem("P045", "Field invalid: exp")
	}
	s.addresses[cmp.Or(in.IP, "caller")] = true
	return s.acknowledge(cmp.Or(s.options.AcceptedCode, "001"))
}

func (s *Server) next(prefix string) string {
	s.made++
	return fmt.Sprintf("%s%04d", prefix, s.made)
}

func (s *Server) generateKey(r batchsim.Request) batchsim.Reply {
	var in struct {
		Domains  []string `json:"domain"`
		Merchant int64    `json:"merchantid"`
		Live     bool     `json:"live"`
		Nonce    string   `json:"nonce"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if len(in.Domains) == 0 || in.Merchant < 1 {
		return s.problem("P044", "Field missing: domain, merchantid")
	}
	key := s.next("3MEcU8cEf" + strings.Repeat("x", 60))
	s.keys[key] = map[string]any{"date_created": s.Clock.Now().UTC().Format(time.RFC3339), "domain": in.Domains,
		"domain_key": key, "live": in.Live, "merchantid": in.Merchant}
	return encode(http.StatusOK, s.keys[key])
}

func (s *Server) checkKey(r batchsim.Request) batchsim.Reply {
	var in struct {
		Key string `json:"domain_key"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if len(in.Key) < 64 || len(in.Key) > 512 {
		return s.problem("P045", "Field invalid: domain_key")
	}
	key, ok := s.keys[in.Key]
	if !ok {
		return s.problem("D101", "Data is not found")
	}
	return encode(http.StatusOK, key)
}

func (s *Server) createChannel(r batchsim.Request) batchsim.Reply {
	var in struct {
		Name     string `json:"channel_name"`
		Client   string `json:"clientid"`
		Endpoint string `json:"endpoint_id"`
		Config   *struct {
			Connect     int               `json:"connect_timeout"`
			ContentType string            `json:"content_type"`
			Headers     map[string]string `json:"headers"`
			Method      string            `json:"method"`
			Read        int               `json:"read_timeout"`
			URL         string            `json:"url"`
		} `json:"config"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if in.Name == "" || in.Client == "" || in.Endpoint == "" || in.Config == nil {
		return s.problem("P044", "Field missing")
	}
	u, err := url.Parse(in.Config.URL)
	if err != nil || u.Scheme != "https" {
		return s.problem("P045", "Field invalid: url")
	}
	for _, timeout := range []int{in.Config.Connect, in.Config.Read} {
		if timeout != 0 && timeout < 1000 {
			return s.problem("P045", "Field invalid: timeout")
		}
	}
	id := s.next("wc_")
	s.channels[id] = true
	return encode(http.StatusOK, map[string]any{"config": map[string]string{"url": in.Config.URL},
		"endpoint_id": in.Endpoint, "web_channel_id": id})
}

// end removes a channel or a subscription.
func (s *Server) end(all map[string]bool, id string) batchsim.Reply {
	if !all[id] {
		return s.problem("D101", "Data is not found")
	}
	delete(all, id)
	return s.acknowledge(cmp.Or(s.options.AcceptedCode, "001"))
}

func (s *Server) deleteChannel(r batchsim.Request) batchsim.Reply {
	var in struct {
		ID string `json:"channel_id"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	return s.end(s.channels, in.ID)
}

func (s *Server) subscribe(r batchsim.Request) batchsim.Reply {
	var in struct {
		Channels  []string `json:"channels"`
		Client    string   `json:"clientid"`
		Live      bool     `json:"live"`
		Merchants []int64  `json:"merchant_id"`
		Triggers  []string `json:"triggers"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	for _, id := range in.Channels {
		if !s.channels[id] {
			return s.problem("D101", "Data is not found")
		}
	}
	if in.Client == "" {
		return s.problem("P044", "Field missing: clientid")
	}
	id := s.next("wh_")
	s.hooks[id] = true
	return encode(http.StatusOK, map[string]string{"web_hook_id": id})
}

func (s *Server) unsubscribe(r batchsim.Request) batchsim.Reply {
	var in struct {
		Client string `json:"clientid"`
		ID     string `json:"web_hook_id"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	return s.end(s.hooks, in.ID)
}

// Made counts the domain keys, registered addresses, channels and subscriptions.
func (s *Server) Made() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys) + len(s.addresses) + len(s.channels) + len(s.hooks)
}
