package snapbilltest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The service that every account sells, and its one package.
var (
	pancakes = map[string]any{"id": 596, "name": "Pancake Delivery"}
	terms    = []any{map[string]any{"type": "daymonth", "day": 1, "interval": 1, "description": "Monthly",
		"fee": "240.00", "fee_cents": 24000}}
)

const (
	packageID    = 25756
	packageName  = "Delicious Pancakes"
	packageSetup = 5000
	packageFee   = 24000
)

type service struct {
	id      int64
	client  *client
	created string
	dead    bool
}

func (a *Account) serviceType() map[string]any {
	return map[string]any{"id": pancakes["id"], "xid": a.xid(596), "name": pancakes["name"]}
}

func (a *Account) wirePackage(depth int) map[string]any {
	return map[string]any{"depth": depth, "id": packageID, "name": packageName, "setup": decimal(packageSetup),
		"setup_cents": packageSetup, "terms": terms,
		"currency": zar, "service_type": a.serviceType(), "flags": map[string]any{"hide-signup": false,
			"hide-all": false}, "state": "active", "available": false}
}

func (a *Account) wireService(s *service) map[string]any {
	state := "active"
	if s.dead {
		state = "dead"
	}
	return map[string]any{"id": s.id, "xid": a.xid(s.id), "state": state, "name": pancakes["name"], "username": nil,
		"created": s.created, "renewal": s.created,
		"package": a.wirePackage(1), "term": 1, "service_type": a.serviceType(), "client": s.client.wire(a, 1),
		"variables": []any{},
		"data":      map[string]any{"created": s.created, "package_name": packageName, "renewal": s.created, "term": 1}}
}

func (a *Account) addService(found *client, c call) reply {
	problems := map[string]string{}
	for field, want := range map[string]string{"service_type_id": "596", "package": packageName, "term": "1"} {
		if c.form.Get(field) != want {
			problems[field] = "Not found"
		}
	}
	if len(problems) > 0 {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below", problems)
	}
	made := &service{id: 155685 + int64(len(a.services)), client: found,
		created: a.s.Clock.Now().UTC().Format(time.DateTime)}
	a.services = append(a.services, made)
	found.charges = append(found.charges, packageSetup, packageFee)
	return item("service", a.wireService(made))
}

func (a *Account) removeService(c call) reply {
	for _, s := range a.services {
		if a.named(c, s.id) {
			s.dead = true
			return done("", nil)
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}

func (a *Account) listServices(c call) reply {
	var found []any
	for _, s := range a.services {
		if a.matches(c, "name", "Pancake Delivery") && a.matches(c, "service_type", "Pancake Delivery") && !s.dead {
			found = append(found, a.wireService(s))
		}
	}
	return a.page(c, "service", found)
}

func (a *Account) only(c call, id int64, class string, object map[string]any) reply {
	if !a.named(c, id) {
		return a.s.problem(http.StatusNotFound, "Not found", nil)
	}
	return item(class, object)
}

func (a *Account) listServiceTypes(c call) reply {
	var found []any
	if a.matches(c, "name", "Pancake Delivery") {
		found = append(found, a.serviceType())
	}
	return a.page(c, "service_type", found)
}

func (a *Account) listPackages(c call) reply {
	var found []any
	if a.matches(c, "service_type_id", "596") {
		found = append(found, a.wirePackage(0))
	}
	return a.page(c, "package", found)
}

// addRecurringInvoice writes total as the service does: 100 times too large.
func (a *Account) addRecurringInvoice(found *client, c call) reply {
	mode := c.form.Get("mode")
	_, err := time.Parse(time.DateOnly, c.form.Get("first"))
	if err != nil || !slices.Contains([]string{"ONCEOFF", "DAYWEEK", "DAYMONTH", "WEEKDAYMONTH"}, mode) {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"mode": "Invalid date or mode"})
	}
	lines, total, ok := formLines(c.form)
	if !ok || len(lines) == 0 {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"unit_cost": "Invalid amount"})
	}
	whole := func(field string, otherwise int) int {
		if n, err := strconv.Atoi(c.form.Get(field)); err == nil {
			return n
		}
		return otherwise
	}
	id := 10027 + int64(len(a.recurring))
	made := map[string]any{"id": id, "xid": a.xid(id), "state": "active",
		"created": a.s.Clock.Now().UTC().Format(time.DateTime),
		"total":   decimal(total * 100), "total_cents": total, "mode": mode, "weekday": whole("weekday", 0),
		"number":   whole("number", 0),
		"interval": whole("interval", 1), "first": c.form.Get("first") + " 00:00:00", "last": nil, "next": nil,
		"lines": lines, "client": found.wire(a, 1)}
	if last := c.form.Get("last"); last != "" {
		made["last"] = last + " 00:00:00"
	}
	a.recurring = append(a.recurring, recurring{found, made})
	return item("recurring_invoice", made)
}

type recurring struct {
	client *client
	wire   map[string]any
}

func (a *Account) listRecurringInvoices(c call) reply {
	var found []any
	for _, r := range a.recurring {
		if a.matches(c, "client_id", strconv.FormatInt(r.client.id, 10)) {
			found = append(found, r.wire)
		}
	}
	return a.page(c, "recurring_invoice", found)
}

// formLines reads the lines of an invoice, by index or by position.
func formLines(form url.Values) (lines []map[string]any, total int64, ok bool) {
	for n := 0; ; n++ {
		field := func(name string) string {
			if value := form.Get(fmt.Sprintf("%s[%d]", name, n)); value != "" {
				return value
			}
			if values := form[name+"[]"]; n < len(values) {
				return values[n]
			}
			return ""
		}
		if field("unit_cost") == "" {
			return lines, total, true
		}
		unit, ok1 := hundredths(field("unit_cost"))
		quantity, ok2 := hundredths(field("quantity"))
		if !ok1 || !ok2 {
			return nil, 0, false
		}
		cents := unit * quantity / 100
		total += cents
		lines = append(lines, lineWire(n, field("description"), unit, quantity, cents))
	}
}

// A user is a login of a client; it can do nothing here.
type user struct {
	id                              int64
	client                          *client
	username, name, email, password string
}

func (a *Account) wireUser(u *user) map[string]any {
	return map[string]any{"depth": 0, "id": u.id, "xid": a.xid(u.id), "username": u.username, "name": u.name,
		"email": u.email, "type": "user",
		"client": u.client.wire(a, 1)}
}

// addUser shows the password, once. A name that is taken gets a number.
func (a *Account) addUser(found *client, c call) reply {
	made := &user{id: 2480 + int64(len(a.users)), client: found, name: c.form.Get("name"), email: c.form.Get("email"),
		username: c.form.Get("username"), password: c.form.Get("password")}
	if made.username == "" {
		made.username = "user"
	}
	if made.password == "" {
		made.password = "a-password-that-was-made-up"
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(a.users, func(other *user) bool { return other.username == name })
	}
	for n, base := 1, made.username; taken(made.username); n++ {
		made.username = fmt.Sprint(base, n)
	}
	a.users = append(a.users, made)
	w := a.wireUser(made)
	w["password"] = made.password
	return item("user", w)
}

func (a *Account) listUsers(c call) reply {
	var found []any
	for _, u := range a.users {
		if a.matches(c, "username", u.username) && a.matches(c, "client_id", strconv.FormatInt(u.client.id, 10)) {
			found = append(found, a.wireUser(u))
		}
	}
	return a.page(c, "user", found)
}

func (a *Account) addSession(c call) reply {
	for _, u := range a.users {
		if a.named(c, u.id) {
			a.sessions++
			return item("session",
				map[string]any{"depth": 0, "url": fmt.Sprint("https://demo.snapbill.com/session/", a.sessions)})
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}

func (a *Account) lostPassword(found *client, _ call) reply {
	id := 501 + int64(len(a.emails))
	sent := map[string]any{"id": id, "xid": a.xid(id), "state": "sent",
		"date": a.s.Clock.Now().UTC().Format(time.DateTime), "client": found.wire(a, 1),
		"user": nil, "from": "demo@example.com", "to": found.email, "subject": "Password recovery"}
	a.emails = append(a.emails, recurring{found, sent})
	return item("email", sent)
}

func (a *Account) listEmails(c call) reply {
	var found []any
	for _, e := range a.emails {
		if a.matches(c, "client_id", strconv.FormatInt(e.client.id, 10)) {
			found = append(found, e.wire)
		}
	}
	return a.page(c, "email", found)
}

var southAfrica = map[string]any{"code": "ZA", "iso2": "ZA", "iso3": "ZAF", "name": "South Africa"}

// command is what an account offers beyond the documentation.
func (a *Account) command(c call) reply {
	name := c.PathValue("class") + "/" + c.PathValue("command")
	if serve := a.s.options.Commands[strings.TrimSuffix(name, ".json")]; serve != nil {
		serve(c.PathValue("id"), c.form)
		return done("", nil)
	}
	return a.s.problem(http.StatusNotFound, "Command not found", nil)
}
