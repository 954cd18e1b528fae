package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Sample is one message of the made-up company's mail, for benches that need many.
type Sample struct {
	Subject, Text, Tag string
	Name, Email, Phone string
}

var (
	sampleFirst  = strings.Fields("Anna Bernd Carla Dieter Elif Frank Greta Hakan Ines Jörg Katrin Lars Maren Nico Olga Petra Quirin Rosa Stefan Tanja Ulrich Vera Werner Xenia Yusuf Zoe Björn Käthe Jürgen Ayşe")
	sampleFamily = strings.Fields("Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Meier Lehmann Köhler Herrmann König Walter Mayer Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Vogel Friedrich Keller Günther Berger Yıldız Nowak")
	samplePlaces = strings.Fields("Mainz Wiesbaden Worms Bingen Alzey Bad-Kreuznach Ingelheim Oppenheim Nierstein Rüsselsheim Bodenheim Nackenheim Budenheim Hochheim Flörsheim")
	sampleRoads  = strings.Fields("Hauptstraße Gartenstraße Bahnhofstraße Schulstraße Rheinstraße Lindenweg Mühlgasse Marktplatz Kirchgasse Weinbergstraße")
	sampleCars   = []string{"Golf", "Astra", "Corsa", "Octavia", "Fabia", "Polo", "Focus", "Clio"}
)

// NewSample makes the n-th message: what a customer writes, with names, numbers and places of its own.
func NewSample(n int, rng *rand.Rand) Sample {
	pick := func(l []string) string { return l[rng.IntN(len(l))] }
	st := &stories[rng.IntN(len(stories))]
	s := Sample{Tag: st.tag, Name: pick(sampleFirst) + " " + pick(sampleFamily)}
	s.Email = fmt.Sprintf("kunde%d@kunden.example", n)
	s.Phone = fmt.Sprintf("0171 %07d", 1000000+n%8999999)
	number := func(kind string) string { return fmt.Sprintf("%s-%06d", kind, rng.IntN(1_000_000)) }
	first, last, _ := strings.Cut(s.Name, " ")
	fill := strings.NewReplacer("{kfz}", number("KFZ"), "{hausrat}", number("HR"), "{haus}", number("WG"), "{haft}", number("PHV"), "{recht}", number("RS"), "{tier}", number("THV"), "{leben}", number("LV"), "{bu}", number("BU"),
		"{kennzeichen}", fmt.Sprintf("MZ-%c%c %d", 'A'+rng.IntN(26), 'A'+rng.IntN(26), 100+rng.IntN(900)), "{auto}", pick(sampleCars), "{strasse}", pick(sampleRoads), "{ort}", pick(samplePlaces),
		"{betrag}", fmt.Sprintf("%d,%02d €", 10+rng.IntN(400), rng.IntN(100)), "{km}", fmt.Sprint(1000*(5+rng.IntN(150))), "{telefon}", s.Phone, "{name}", s.Name, "{vorname}", first, "{nachname}", last, "{berater}", "Frau Krause", "{lieb}", "Liebe",
		"{iban}", fmt.Sprintf("DE%02d 5505 0120 %04d %04d %02d", 10+rng.IntN(89), rng.IntN(10000), rng.IntN(10000), rng.IntN(100)))
	s.Subject = fill.Replace(pick(st.subjects))
	text := pick(greetFormal) + "\n\n" + pick(st.mail)
	if len(st.details) > 0 {
		text += "\n\n" + pick(st.details)
	}
	s.Text = fill.Replace(text + "\n\n" + pick(byeFriendly))
	return s
}
