package snapbill

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Command is a command that Index or Form shows for your account, and that this
// client does not know.
type Command struct {
	Class string // "batch"
	ID    string // the number or xid of an object; empty for a command of the class
	Name  string // "add_to_batch"
	// Form is sent form encoded, and redacted in errors. A list is "state[]".
	Form url.Values
	// Repeatable says that the command only reads. It is your statement: a read that
	// fails is sent again. All others are sent at most once.
	Repeatable bool
}

// CommandReply is the success that came back.
type CommandReply struct {
	Type    Text                       // "item", "list" or "result"
	Class   Text                       // of what is in Content, which is not always Command.Class
	Content map[string]json.RawMessage // the object under the name of its class, or "list"; it can hold secrets
}

var (
	commandName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	fieldName   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
)

// Send sends a command of your own. It may move money, whatever its name: read
// its Form first. It is sent at most once unless you say that it only reads. A
// success proves that the service has accepted it, and not that it did
// anything: read the object afterwards. On ErrAmbiguous, too.
//
// A command that has a method here is refused with ErrInvalid.
//
//	POST /{class}/{command}
//	POST /{class}/{id}/{command}
func (c *Client) Send(ctx context.Context, command Command) (*CommandReply, error) {
	send := batchhttp.Call{Op: opCommand, Params: []string{command.Class, command.Name}}
	path := "/" + command.Class + "/" + command.Name
	var faults []batch.FieldError
	if command.ID != "" {
		send.Op, send.Params = opObjectCommand, []string{command.Class, command.ID, command.Name}
		path = "/" + command.Class + "/{id}/" + command.Name
		if !anyID.MatchString(command.ID) {
			faults = append(faults, fault("id", "%s", notAnAddress))
		}
	}
	if !commandName.MatchString(command.Class) {
		faults = append(faults, fault("class", "%.40q is not the name of a class", command.Class))
	}
	if !commandName.MatchString(command.Name) {
		faults = append(faults, fault("name", "%.40q is not the name of a command", command.Name))
	}
	if method := methodOf(path); method != "" {
		faults = append(faults, fault("name", "%s/%s has a method of its own: Client.%s", command.Class,
			command.Name, method))
	}
	if err := batch.Invalid(name, send.Op.Name, faults); err != nil {
		return nil, err
	}
	if command.Repeatable {
		send.Op.Safety = batchhttp.Repeatable
	}
	for _, values := range command.Form {
		for _, value := range values {
			send.Secrets = append(send.Secrets, NewSecret(value))
		}
	}
	var reply *CommandReply
	send.Decode = successful(func(e *envelope) error {
		if e.Type != "item" && e.Type != "result" && e.Type != "list" {
			return fmt.Errorf("a %.40q came back instead of an item, a result or a list", string(e.Type))
		}
		reply = &CommandReply{Type: e.Type, Class: e.Class, Content: make(map[string]json.RawMessage, len(e.Content))}
		for key, value := range e.Content {
			reply.Content[key] = json.RawMessage(value)
		}
		return nil
	})
	if err := c.send(ctx, send, command.Form); err != nil {
		return nil, err
	}
	return reply, nil
}

// anyID also takes the codes of countries, currencies and payment methods.
var anyID = regexp.MustCompile(`^([A-Za-z0-9_-]{1,32}|[0-9A-Za-z_-]{1,8}:[0-9A-Za-z_-]{1,8})$`)

// methodOf names the method for a path; empty if there is none.
func methodOf(path string) string {
	n := slices.IndexFunc(operations, func(op batchhttp.Op) bool {
		known := strings.TrimSuffix(strings.ReplaceAll(op.Path, "{code}", "{id}"), ".json")
		return op.Method == "POST" && known == path
	})
	if n < 0 {
		return ""
	}
	return operations[n].Name
}

// compareFaults orders faults that came from a map.
func compareFaults(a, b batch.FieldError) int {
	return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
}
