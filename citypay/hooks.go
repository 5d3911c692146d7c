package citypay

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// CreateChannelRequest makes a channel: where CityPay sends events.
type CreateChannelRequest struct {
	ChannelName string        `json:"channel_name"`
	ClientID    string        `json:"clientid"`    // 3 to 10 characters
	EndpointID  string        `json:"endpoint_id"` // the kind of endpoint: ask CityPay, no value is documented
	Config      ChannelConfig `json:"config"`
}

// ChannelConfig is how CityPay calls an endpoint.
type ChannelConfig struct {
	ConnectTimeout int               `json:"connect_timeout,omitempty"` // milliseconds, 1000 to 30000
	ContentType    string            `json:"content_type,omitempty"`    // "application/json"
	Headers        map[string]Secret `json:"-"`                         // sent with each event; they may be credentials
	Method         string            `json:"method,omitempty"`          // "POST"
	ReadTimeout    int               `json:"read_timeout,omitempty"`    // milliseconds, 1000 to 30000
	URL            string            `json:"url"`                       // https
}

// Channel is a channel that was made. Keep its id: CityPay lists no channels.
type Channel struct {
	EndpointID   Text   `json:"endpoint_id,omitempty"`
	WebChannelID string `json:"web_channel_id"`
}

// SubscribeRequest says which events go to which channels.
type SubscribeRequest struct {
	Channels    []string `json:"channels"`              // Channel.WebChannelID of each
	ClientID    string   `json:"clientid"`              // 3 to 10 characters
	Live        bool     `json:"live"`                  // false: presumably events of the sandbox only
	MerchantIDs []int64  `json:"merchant_id,omitempty"` // 1 to 99,999,999 each
	Triggers    []string `json:"triggers"`              // names of events: ask CityPay, none is documented
}

// Subscription is a subscription that was made. Keep its id: CityPay lists none.
type Subscription struct {
	WebHookID string `json:"web_hook_id"`
}

var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[ -~]*$`)
	anyName     = regexp.MustCompile(`^[ -~]+$`)
)

const nameForm = "must be printable ASCII"

// CreateChannel makes a channel for events. It moves no money. It is sent at
// most once. On ErrAmbiguous, CityPay may have made a channel whose id is lost.
// Channels cannot be listed: ask CityPay's support.
//
//	POST /hooks/channel/create
func (c *Client) CreateChannel(ctx context.Context, r CreateChannelRequest) (*Channel, error) {
	var faults faults
	faults.match("channel_name", r.ChannelName, anyName, nameForm)
	faults.match("clientid", r.ClientID, anyClientID, clientForm)
	faults.match("endpoint_id", r.EndpointID, anyName, nameForm)
	if u, err := url.Parse(r.Config.URL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		faults.add("config.url", "must be an https URL with a host, and without a user")
	}
	for _, timeout := range []struct {
		field string
		value int
	}{{"config.connect_timeout", r.Config.ConnectTimeout}, {"config.read_timeout", r.Config.ReadTimeout}} {
		if timeout.value != 0 && (timeout.value < 1000 || timeout.value > 30_000) {
			faults.add(timeout.field, "must be 1000 to 30000 milliseconds")
		}
	}
	headers := make(map[string]string)
	var secrets []Secret
	for n, header := range slices.Sorted(maps.Keys(r.Config.Headers)) {
		value := r.Config.Headers[header]
		if !headerName.MatchString(header) || !headerValue.MatchString(value.Reveal()) {
			faults.add(fmt.Sprintf("config.headers[%d]", n), "must be a name and a value of a header")
		}
		headers[header] = value.Reveal()
		secrets = append(secrets, value)
	}
	type config struct {
		ChannelConfig
		Headers map[string]string `json:"headers"`
	}
	wire := struct {
		CreateChannelRequest
		Config config `json:"config"`
	}{r, config{r.Config, headers}}
	call := batchhttp.Call{Op: opCreateChannel, Secrets: secrets}
	return read(ctx, c, call, wire, faults, func(k *Channel, body reader) error {
		if err := batchhttp.Read(body, k); err != nil {
			return err
		}
		if k.WebChannelID == "" {
			return errMissing("web_channel_id")
		}
		return nil
	})
}

// DeleteChannel stops everything that goes through a channel. It moves no money.
// It is sent at most once. Which code means success is not documented: 000 and
// 001 are returned without an error. On ErrAmbiguous, delete it again: CityPay
// cannot list channels.
//
//	POST /hooks/channel/delete
func (c *Client) DeleteChannel(ctx context.Context, channelID string) (*Acknowledgement, error) {
	var faults faults
	faults.match("channel_id", channelID, anyName, nameForm)
	wire := struct {
		ChannelID string `json:"channel_id"`
	}{channelID}
	return c.acknowledged(ctx, batchhttp.Call{Op: opDeleteChannel}, wire, faults, "000", "001")
}

// Subscribe lets events flow to channels. It moves no money. It is sent at most
// once. On ErrAmbiguous, CityPay may have made a subscription whose id is lost.
// Subscriptions cannot be listed: ask CityPay's support.
//
//	POST /hooks/subscribe
func (c *Client) Subscribe(ctx context.Context, r SubscribeRequest) (*Subscription, error) {
	var faults faults
	faults.match("clientid", r.ClientID, anyClientID, clientForm)
	for n, channel := range r.Channels {
		faults.match(fmt.Sprintf("channels[%d]", n), channel, anyName, nameForm)
	}
	for n, trigger := range r.Triggers {
		faults.match(fmt.Sprintf("triggers[%d]", n), trigger, anyName, nameForm)
	}
	faults.merchants(r.MerchantIDs)
	r.Channels, r.Triggers = append([]string{}, r.Channels...), append([]string{}, r.Triggers...) // [], not null
	return read(ctx, c, batchhttp.Call{Op: opSubscribe}, r, faults, func(s *Subscription, body reader) error {
		if err := batchhttp.Read(body, s); err != nil {
			return err
		}
		if s.WebHookID == "" {
			return errMissing("web_hook_id")
		}
		return nil
	})
}

// Unsubscribe ends a subscription. It moves no money. It is sent at most once.
// Which code means success is not documented: 000 and 001 are returned without
// an error. On ErrAmbiguous, unsubscribe again: CityPay cannot list
// subscriptions.
//
//	POST /hooks/unsubscribe
func (c *Client) Unsubscribe(ctx context.Context, clientID, webHookID string) (*Acknowledgement, error) {
	var faults faults
	faults.match("clientid", clientID, anyClientID, clientForm)
	faults.match("web_hook_id", webHookID, anyName, nameForm)
	wire := struct {
		ClientID  string `json:"clientid"`
		WebHookID string `json:"web_hook_id"`
	}{clientID, webHookID}
	return c.acknowledged(ctx, batchhttp.Call{Op: opUnsubscribe}, wire, faults, "000", "001")
}
