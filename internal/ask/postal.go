package ask

import (
	"regexp"
	"strings"
)

var (
	ukCode     = regexp.MustCompile(`(?i)\b([A-Z]{1,2}[0-9][0-9A-Z]?)\s*([0-9][A-Z]{2})\b`)
	usCode     = regexp.MustCompile(`(?i)^(.*?)[,\s]+([A-Z]{2})[,\s]+([0-9]{5}(?:-[0-9]{4})?)$`)
	nlCode     = regexp.MustCompile(`\b([1-9][0-9]{3})\s?([A-Z]{2})\s+(\pL.*)$`)
	codeCity   = regexp.MustCompile(`(?i)(?:^|[\s,])((?:D|A|CH|FL|L|F|I)[- ])?([0-9]{4,5})\s+(\pL[\pL .'’/()-]*(?:\s[0-9]{1,2}\b)?)`)
	loneCode   = regexp.MustCompile(`(?:^|[\s,])((?:D|A|CH|FL)-)?([0-9]{4,5})$`)
	houseLast  = regexp.MustCompile(`^(\pL.*?(?:[\pL.)][\s,]*|\d\s+))(\d{1,4}\s?(?:[a-zA-Z]\b)?(?:\s?[-/+]\s?\d{1,4}\s?[a-zA-Z]?)*(?:\s?1/2)?)$`)
	houseFirst = regexp.MustCompile(`^(\d{1,5}[a-zA-Z]?(?:[-/]\d{1,4})?)\s+(\pL.*)$`)
	streetWord = regexp.MustCompile(`(?i)(str\.?|straße|strasse|gasse|weg|platz|allee|ring|ufer|damm|chaussee|steig|hof|markt|berg|rain|winkel|pfad|promenade|kai|street|st\.?|road|rd\.?|avenue|ave\.?|lane|drive|close|court|way|boulevard|blvd\.?|square|terrace|place|crescent|gardens|postfach|po box)(\s|\d|$)`)
	extraLine  = regexp.MustCompile(`(?i)^(c/o|z\. ?hd\.|zu händen|apt\.?|apartment|flat|unit|suite|wohnung|whg\.?|hinterhaus|vorderhaus|seitenflügel|stiege|top|tür|stock|etage|og|eg|\d+\. ?(stock|og|etage)|(im )?(erdgeschoss|hinterhof)|bei )`)
	leadIn     = regexp.MustCompile(`(?i)^(?:(?:hallo|guten tag|hi|hello)[,! ]+)?(?:(?:ja|yes|also|so)[,: ]+)?(?:(?:meine|unsere|die|das ist meine|das ist die|my|our|the)?\s*(?:neue|aktuelle|new|current)?\s*(?:adresse|anschrift|address|postadresse|wohnadresse|lieferadresse)\s*(?:ist|lautet|wäre|is|war)?\s*(?:jetzt|nun|now)?\s*[:,]?\s*(?:die |der |das )?|(?:ich|wir) (?:wohne|wohnen|bin|sind|lebe|leben)(?: jetzt| nun)? ?(?:in der|in dem|im|in|am|an der|auf der|auf dem)?\s+|(?:bitte )?(?:an|nach|zu)[: ]+|i live (?:at|in|on)\s+|we live (?:at|in|on)\s+|it'?s\s+)`)
	trailOff   = regexp.MustCompile(`(?i)[\s,]+(?:bitte|danke|vielen dank|please|thanks|thank you|dankeschön)[.! ]*$`)
)

var countryNames = map[string]string{
	"deutschland": "DE", "germany": "DE", "brd": "DE", "de": "DE", "osterreich": "AT", "austria": "AT", "at": "AT", "schweiz": "CH", "switzerland": "CH", "suisse": "CH", "ch": "CH", "liechtenstein": "LI",
	"united kingdom": "GB", "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "gb": "GB", "grossbritannien": "GB",
	"usa": "US", "united states": "US", "us": "US", "united states of america": "US", "niederlande": "NL", "netherlands": "NL", "the netherlands": "NL", "luxemburg": "LU", "luxembourg": "LU", "frankreich": "FR", "france": "FR", "italien": "IT", "italy": "IT", "belgien": "BE", "belgium": "BE", "irland": "IE", "ireland": "IE",
}

var countryPrefixes = map[string]string{"D": "DE", "A": "AT", "CH": "CH", "FL": "LI", "L": "LU", "F": "FR", "I": "IT"}

// postalOf reads a postal address; missing is the first part that is not there.
func postalOf(text, country string) (p Postal, missing string) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	text = leadIn.ReplaceAllString(text, "")
	text = strings.Trim(trailOff.ReplaceAllString(text, ""), " .,;!\n")
	var parts []string
	for _, s := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' || r == ';' || r == '|' }) {
		if s = strings.TrimSpace(s); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) > 0 {
		last := fold(parts[len(parts)-1])
		if cc, ok := countryNames[last]; ok {
			p.Country = cc
			parts = parts[:len(parts)-1]
		} else if i := strings.LastIndexByte(parts[len(parts)-1], ' '); i > 0 {
			word := fold(parts[len(parts)-1][i+1:])
			if cc, ok := countryNames[word]; ok && len(word) > 2 {
				p.Country = cc
				parts[len(parts)-1] = strings.TrimSpace(parts[len(parts)-1][:i])
			}
		}
	}
	where := p.Country
	if where == "" {
		where = strings.ToUpper(country)
	}
	// The line with the postal code; what stands before the code on the same line belongs to the street.
	at := -1
	for i := len(parts) - 1; i >= 0 && at < 0; i-- {
		s := parts[i]
		if where == "US" || where == "CA" {
			if m := usCode.FindStringSubmatch(strings.Join(parts[max(0, i-1):i+1], ", ")); m != nil {
				// "Springfield, IL 62704", and "IL 62704" on a part of its own
				city := strings.TrimSpace(m[1])
				if c := strings.LastIndex(city, ","); c >= 0 {
					city = strings.TrimSpace(city[c+1:])
				}
				if own := usCode.FindStringSubmatch(s); own != nil && strings.TrimSpace(own[1]) != "" {
					p.City, p.PostalCode = strings.TrimSpace(own[1])+", "+strings.ToUpper(own[2]), own[3]
					parts = append(parts[:i], parts[i+1:]...)
				} else {
					p.City, p.PostalCode = city+", "+strings.ToUpper(m[2]), m[3]
					parts = append(parts[:max(0, i-1)], parts[i+1:]...)
				}
				at = i
				break
			}
		}
		if where == "GB" {
			if m := ukCode.FindStringSubmatchIndex(s); m != nil {
				p.PostalCode = strings.ToUpper(s[m[2]:m[3]] + " " + s[m[4]:m[5]])
				rest := strings.TrimSpace(s[:m[0]] + " " + s[m[1]:])
				parts = append(parts[:i], parts[i+1:]...)
				if rest != "" {
					p.City = rest
				} else if i > 0 {
					p.City = parts[i-1]
					parts = append(parts[:i-1], parts[i:]...)
				}
				at = i
				break
			}
		}
		if where == "NL" {
			if m := nlCode.FindStringSubmatchIndex(s); m != nil {
				p.PostalCode, p.City = s[m[2]:m[3]]+" "+s[m[4]:m[5]], s[m[6]:m[7]]
				parts[i] = strings.TrimSpace(s[:m[0]])
				at = i
				break
			}
		}
		if all := codeCity.FindAllStringSubmatchIndex(s, -1); len(all) > 0 {
			m := all[len(all)-1]
			if prefix := -1; m[2] >= 0 {
				prefix = m[2]
				if cc := countryPrefixes[strings.ToUpper(strings.Trim(s[prefix:m[3]], "- "))]; cc != "" && p.Country == "" {
					p.Country, where = cc, cc
				}
			}
			code := s[m[4]:m[5]]
			if !codeFits(code, where) {
				continue
			}
			p.PostalCode, p.City = code, strings.Trim(s[m[6]:m[7]], " .")
			parts[i] = strings.TrimSuffix(strings.TrimSuffix(strings.Trim(s[:m[0]], " ,"), " in"), " bei")
			at = i
			break
		}
		if m := loneCode.FindStringSubmatchIndex(s); m != nil && codeFits(s[m[4]:m[5]], where) {
			rest := strings.Trim(s[:m[0]], " ,")
			if rest != "" && (houseLast.MatchString(rest) || i+1 < len(parts)) || rest == "" {
				p.PostalCode = s[m[4]:m[5]]
				parts[i] = rest
				if i+1 < len(parts) && letters(parts[i+1]) > 1 && !strings.ContainsAny(parts[i+1], "0123456789") {
					p.City = parts[i+1]
					parts = append(parts[:i+1], parts[i+2:]...)
				}
				at = i
				break
			}
		}
	}
	// The street, and what stands around it.
	var rest []string
	for _, s := range parts {
		s = strings.TrimSpace(s)
		if s == "" {
			continue
		}
		if extraLine.MatchString(s) {
			p.Extra = join(p.Extra, s)
			continue
		}
		if p.Street == "" {
			if m := houseLast.FindStringSubmatch(s); m != nil {
				p.Street = strings.Trim(m[1], " ,") + " " + strings.Join(strings.Fields(m[2]), "")
				continue
			}
			if houseFirst.MatchString(s) {
				p.Street = s
				continue
			}
		}
		rest = append(rest, s)
	}
	for _, s := range rest {
		switch {
		case p.Street == "" && streetWord.MatchString(s):
			p.Street = s // without a number
		case p.Street == "" && p.Name == "" && p.City != "" && len(rest) == 1 && letters(s) > 2:
			p.Street = s
		case p.City == "" && p.Street != "" && !strings.ContainsAny(s, "0123456789"):
			p.City = s
		case p.Name == "" && !strings.ContainsAny(s, "0123456789"):
			p.Name = s
		default:
			p.Extra = join(p.Extra, s)
		}
	}
	p.Street = strings.TrimSpace(p.Street)
	switch {
	case p.Street == "" || !strings.ContainsAny(p.Street, "0123456789"):
		return p, "street"
	case p.PostalCode == "":
		return p, "postal_code"
	case p.City == "":
		return p, "city"
	}
	return p, ""
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// codeFits says whether a postal code has the length of its country's.
func codeFits(code, country string) bool {
	switch country {
	case "DE", "", "FR", "IT", "US":
		return len(code) == 5
	case "AT", "CH", "LI", "BE", "LU":
		return len(code) == 4
	}
	return true
}

func (a *Ask) postal(text string, c *Context) Outcome {
	country := c.Country
	if country == "" {
		country = "DE"
	}
	p, missing := postalOf(text, country)
	if missing != "" && country == "DE" {
		// Four digits: an Austrian or Swiss address, and nobody said which.
		if q, gone := postalOf(text, "AT"); gone == "" && p.Country == "" && p.PostalCode == "" {
			return Outcome{Problem: Unclear, Detail: "postal_code", Confidence: 0.5, Value: Value{Address: &q}}
		}
	}
	if p.Street == "" && p.PostalCode == "" {
		return Outcome{Problem: Unclear, Detail: "street", Confidence: 0.2}
	}
	if missing != "" {
		return Outcome{Problem: Unclear, Detail: missing, Confidence: 0.5, Value: Value{Address: &p}}
	}
	if len(p.Street) > 100 || len(p.City) > 80 || strings.Contains(text, "?") {
		return Outcome{Problem: Unclear, Confidence: 0.5, Value: Value{Address: &p}}
	}
	if p.Country == "" {
		p.Country = strings.ToUpper(country)
	}
	return Outcome{Value: Value{Address: &p}, Confidence: 0.9, Reading: "words"}
}
