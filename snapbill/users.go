package snapbill

import (
	"context"
	"iter"
	"net/url"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// User is a login: of the staff, or of a client.
type User struct {
	Depth    Text            `json:"depth,omitempty"`
	ID       ID              `json:"id"`
	XID      XID             `json:"xid,omitempty"`
	Username Text            `json:"username,omitempty"`
	Name     Text            `json:"name,omitempty"`
	Email    Text            `json:"email,omitempty"`
	Type     Text            `json:"type,omitempty"` // "account" (staff) or "user"
	Client   Maybe[Customer] `json:"client,omitzero"`
	Password Secret          `json:"-"` // only in what AddUser returns, and never again
}

// UnmarshalJSON reads a user.
func (u *User) UnmarshalJSON(text []byte) error {
	type plain User
	if err := batchhttp.Parse(text, (*plain)(u)); err != nil {
		return err
	}
	var wire struct {
		Password Text `json:"password"`
	}
	err := batchhttp.Parse(text, &wire)
	u.Password = NewSecret(string(wire.Password))
	return err
}

func (u *User) names() names { return numbered(u.ID, u.XID) }

func (u *User) identify() error {
	u.Client.OK = u.Client.OK && u.Client.Value.identify() == nil
	return identify("user", &u.ID, u.XID)
}

func (u *User) check() error  { return nil }
func (u *User) verify() error { return nil }

// AddUser is a login for a client. The service makes up what is empty.
type AddUser struct {
	Name, Email, Username string
	Password              Secret
}

// ListUsersOptions filters ListUsers.
type ListUsersOptions struct {
	Username string
	ClientID ID
}

// Session logs a user in.
type Session struct {
	Depth Text `json:"depth,omitempty"`
	URL   Link `json:"url"`
}

func (s *Session) names() names { return names{number: string(s.URL)} }

func (s *Session) identify() error { return coded("session", Text(s.URL)) }
func (s *Session) check() error    { return nil }
func (s *Session) verify() error   { return nil }

// Email is a message that the service has sent.
type Email struct {
	ID      ID              `json:"id"`
	XID     XID             `json:"xid,omitempty"`
	State   Text            `json:"state,omitempty"`
	Date    DateTime        `json:"date,omitempty"`
	Client  Maybe[Customer] `json:"client,omitzero"`
	User    Maybe[User]     `json:"user,omitzero"`
	From    Text            `json:"from,omitempty"`
	To      Text            `json:"to,omitempty"`
	Subject Text            `json:"subject,omitempty"`
}

func (e *Email) names() names { return numbered(e.ID, e.XID) }

func (e *Email) identify() error {
	e.Client.OK = e.Client.OK && e.Client.Value.identify() == nil
	return identify("email", &e.ID, e.XID)
}

func (e *Email) check() error  { return nil }
func (e *Email) verify() error { return nil }

// AddUser gives a client a login. The reply is the only one that shows the
// password. It is sent at most once: a second request makes a second login. On
// ErrAmbiguous, look at ListUsers; the password of one that is there is lost.
//
// Beside an ErrProtocol the user is returned: it is there, but not as asked. A
// username that is taken gets a number.
//
//	POST /client/{id}/add_user
func (c *Client) AddUser(ctx context.Context, clientID string, a AddUser) (*User, error) {
	form := url.Values{}
	set(form, "name", a.Name)
	set(form, "email", a.Email)
	set(form, "username", a.Username)
	set(form, "password", a.Password.Reveal())
	made, err := callWith[User](ctx, c, batchhttp.Call{Op: opAddUser, Params: []string{clientID},
		Secrets: []Secret{a.Password}},
		"user", form, true)
	if err != nil {
		return made, err
	}
	var w wishes
	w.compare("name", a.Name, string(made.Name))
	w.compare("email", a.Email, string(made.Email))
	w.compare("username", a.Username, string(made.Username))
	w.client(clientID, made.Client)
	return made, w.err(c, opAddUser.Name)
}

// ListUsers reads the logins of the account and of its clients.
//
//	POST /user/list
func (c *Client) ListUsers(ctx context.Context, o ListUsersOptions) iter.Seq2[User, error] {
	form := url.Values{}
	set(form, "username", o.Username)
	setNumber(form, "client_id", o.ClientID)
	return list(ctx, c, opListUsers, "user", form, func(u *User) error {
		if o.Username != "" && string(u.Username) != o.Username {
			return ignored("username", "another")
		}
		return ofClient(o.ClientID, u.Client)
	})
}

// AddSession makes a link that logs a user in: anyone who has it is that user. It
// is sent at most once. On ErrAmbiguous, ask for another: a link that is not used
// expires.
//
//	POST /user/{id}/add_session
func (c *Client) AddSession(ctx context.Context, userID string) (*Session, error) {
	return call[Session](ctx, c, opAddSession, "session", []string{userID}, url.Values{}, true)
}

// SendLostPassword sends a client an e-mail with which it can choose another
// password. It is sent at most once. On ErrAmbiguous, look at ListEmails.
//
//	POST /client/{id}/lost_password
func (c *Client) SendLostPassword(ctx context.Context, clientID string) (*Email, error) {
	return call[Email](ctx, c, opSendLostPassword, "email", []string{clientID}, url.Values{}, false)
}

// ListEmails reads the e-mails to a client, or to all of them for 0.
//
//	POST /email/list
func (c *Client) ListEmails(ctx context.Context, clientID ID) iter.Seq2[Email, error] {
	form := url.Values{}
	setNumber(form, "client_id", clientID)
	return list(ctx, c, opListEmails, "email", form, func(e *Email) error { return ofClient(clientID, e.Client) })
}
