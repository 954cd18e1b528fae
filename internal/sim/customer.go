package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// Customer is one person, as far as their habits do not depend on what they want just now.
type Customer struct {
	ID       string // "k01"
	Name     string
	Channels []channel.Kind
	Email    string         // "" = has none
	Telegram string         // profile name, "" = has none
	Web      string         // user id on the company's website, where they are signed in; "" = has no account there
	Phones   []channel.Kind // apps of further providers; they are used when a visitor plays the customer
	Hue      int            // of the avatar, 0 to 359
	Company  string         // set: writes from an office, in HTML with a logo

	charset string // of the mail program
	html    bool   // the mail program writes an HTML version
	tail    string // what the mail program appends
	tone    tone
	facts   *strings.Replacer
}

// tone is how somebody writes.
type tone int

const (
	formal   tone = iota // Sehr geehrte Damen und Herren
	friendly             // Hallo
	brief                // no greeting in chats, few words
)

// Uses reports whether the customer can be reached by a channel of the kind.
func (c *Customer) Uses(kind channel.Kind) bool {
	return slices.Contains(c.Channels, kind) || slices.Contains(c.Phones, kind)
}

func (c *Customer) first() string { f, _, _ := strings.Cut(c.Name, " "); return f }

func (c *Customer) last() string { return c.Name[strings.LastIndexByte(c.Name, ' ')+1:] }

// Customers makes n people, the same ones for the same seed. Of three one writes only mails, one only chats and one
// does both; some of those have an account on the company's website and use its chat.
func Customers(seed uint64, n int) []*Customer {
	out := make([]*Customer, n)
	names := people
	for i := range out {
		rng := rand.New(rand.NewPCG(seed, uint64(i)+1))
		name := names[i%len(names)]
		if i >= len(names) { // beyond the list: the same first names in other families
			first, _, _ := strings.Cut(name, " ")
			other := names[(i*7+i/len(names))%len(names)]
			name = fmt.Sprintf("%s %s-%s", first, other[strings.LastIndexByte(other, ' ')+1:], families[(i/len(names)-1)%len(families)])
			if i >= len(names)*(len(families)+1) {
				name = fmt.Sprintf("%s %d", name, i)
			}
		}
		c := &Customer{ID: fmt.Sprintf("k%02d", i+1), Name: name, Hue: (i*67 + 20) % 360, tone: tone(rng.IntN(3))}
		address := ascii(strings.ToLower(strings.ReplaceAll(name, " ", "."))) + "@" + mailHosts[rng.IntN(len(mailHosts))]
		switch i % 3 {
		case 0:
			c.Email = address
		case 1:
			c.Telegram = name
		case 2:
			c.Email, c.Telegram = address, name
		}
		if company := companies[c.ID]; company != "" && c.Email != "" {
			c.Company, c.tone = company, formal
			c.Email = "buero@" + ascii(strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(company, " & ", "-"), " ", "-"))) + ".example"
		}
		if c.Email != "" {
			c.Channels = append(c.Channels, Email)
			c.html = rng.IntN(2) == 0
			switch rng.IntN(8) {
			case 0, 1:
				c.charset = "iso-8859-1"
			case 2:
				c.tail = "Von meinem Smartphone gesendet"
			}
		}
		if c.Telegram != "" {
			c.Channels = append(c.Channels, Telegram)
		}
		if i%9 == 2 {
			c.Web = "kunde-" + c.ID
			c.Channels = append(c.Channels, Web)
		}
		c.facts = facts(c, i, rng)
		out[i] = c
	}
	return out
}

// facts are what a customer names in messages: contracts, number plate, address …
func facts(c *Customer, i int, rng *rand.Rand) *strings.Replacer {
	number := func(kind string) string {
		return fmt.Sprintf("%s-%04d-%02d", kind, 1000+(i*577+rng.IntN(500))%9000, 18+rng.IntN(8))
	}
	kfz := number("KFZ")
	if i == 0 {
		kfz = "KFZ-4711-20"
	}
	home := towns[rng.IntN(len(towns))]
	moved := towns[rng.IntN(len(towns))]
	street := func() string { return fmt.Sprintf("%s %d", streets[rng.IntN(len(streets))], 1+rng.IntN(88)) }
	plate := fmt.Sprintf("%s-%c%c %d", []string{"MZ", "WI", "AZ", "GG", "KH"}[rng.IntN(5)], 'A'+rune(rng.IntN(26)), 'A'+rune(rng.IntN(26)), 11+rng.IntN(980))
	return strings.NewReplacer(
		"{kfz}", kfz, "{hausrat}", number("HR"), "{haft}", number("PHV"), "{haus}", number("WG"), "{recht}", number("RS"), "{reise}", number("AKV"), "{tier}", number("THV"),
		"{kennzeichen}", plate, "{auto}", cars[rng.IntN(len(cars))], "{strasse}", streets[rng.IntN(len(streets))], "{ort}", home[6:], "{adresse}", street()+", "+home, "{neu}", street()+", "+moved,
		"{betrag}", fmt.Sprintf("%d,%02d €", 40+rng.IntN(420), rng.IntN(100)), "{iban}", iban(rng), "{telefon}", fmt.Sprintf("06131 55%04d", rng.IntN(10000)),
		"{vorname}", c.first(), "{nachname}", c.last(), "{name}", c.Name, "{km}", fmt.Sprintf("%d.000", 60+rng.IntN(140)))
}

// iban makes an IBAN with right check digits (ISO 13616) at a bank that does not exist.
func iban(rng *rand.Rand) string {
	bban := fmt.Sprintf("99999999%010d", rng.Int64N(1e10))
	rest := 0
	for _, d := range bban + "131400" { // DE00 as figures
		rest = (rest*10 + int(d-'0')) % 97
	}
	s := fmt.Sprintf("DE%02d%s", 98-rest, bban)
	return strings.Join([]string{s[:4], s[4:8], s[8:12], s[12:16], s[16:20], s[20:]}, " ")
}

func ascii(s string) string {
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "ş", "s", "ç", "c", "ı", "i", "ğ", "g", "é", "e", "ł", "l", "ń", "n", "ć", "c", "'", "").Replace(s)
}

var mailHosts = []string{"post.example", "webmail.example", "rheinnetz.example", "mail.example"}

var people = []string{
	"Sabine Schuster", "Murat Yıldız", "Jörg Weißenborn", "Anneliese Groß", "Tobias Hölzer", "Katharina Böhm", "Dieter Kühn", "Aylin Çelik", "Stefan Müßig", "Renate Schäfer",
	"Paweł Nowak", "Ingrid Jäger", "Lukas Brandt", "Maria Rossi", "Heinz-Peter Löffler", "Nadine Krüger", "Emre Şahin", "Gisela Baumgärtner", "Florian Pohl", "Olga Petrova",
	"Björn Ackermann", "Claudia Römer", "Thomas Vogt", "Elif Kaya", "Walter Dörr", "Julia Sommerfeld", "Karsten Stöhr", "Ursula Engelhardt", "Daniel Okafor", "Petra Hübner",
	"Manfred Zöller", "Svenja Lorenz", "Ali Rezaei", "Brigitte Wörner", "Marcel Thelen", "Hannah Rüdiger", "Rolf Eichhorn", "Monika Fröhlich", "Kevin Baur", "Christa Süß",
}

var families = []string{"Albrecht", "Becker", "Conrad", "Dietz", "Ebert", "Fink", "Gruber", "Haas"}

// companies write from an office.
var companies = map[string]string{"k07": "Schreinerei Kühn", "k19": "Praxis Pohl", "k25": "Weingut Dörr", "k37": "Eichhorn Dachbau"}

var towns = []string{"55116 Mainz", "55124 Mainz", "65183 Wiesbaden", "55218 Ingelheim", "55283 Nierstein", "55299 Nackenheim", "65428 Rüsselsheim", "55232 Alzey", "55543 Bad Kreuznach", "65343 Eltville"}

var streets = []string{"Gartenfeldstraße", "Am Römerlager", "Kaiser-Wilhelm-Ring", "Bahnhofstraße", "Lindenweg", "Rheinallee", "Mühlgasse", "Boppstraße", "Hintere Bleiche", "Weinbergsweg", "Königsberger Straße"}

var cars = []string{"Golf", "Škoda Octavia", "Fiat Panda", "Opel Corsa", "Ford Focus", "Passat", "Toyota Yaris", "Dacia Duster", "Renault Zoe", "3er BMW"}
