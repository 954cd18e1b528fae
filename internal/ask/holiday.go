package ask

import (
	"strings"
	"time"
)

// day makes a civil day; all reckoning with days is done at midnight UTC.
func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// easter is Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, ch. 8).
func easter(y int) time.Time {
	a, b, c := y%19, y/100, y%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return day(y, time.Month(n/31), n%31+1)
}

// nth gives the nth weekday of a month, from the end if n < 0.
func nth(y int, m time.Month, w time.Weekday, n int) time.Time {
	if n < 0 {
		last := day(y, m+1, 0)
		return last.AddDate(0, 0, -((int(last.Weekday())-int(w)+7)%7)+7*(n+1))
	}
	first := day(y, m, 1)
	return first.AddDate(0, 0, (int(w)-int(first.Weekday())+7)%7+7*(n-1))
}

// holiday gives the day of a named day in a year. country matters where one name means several days.
type holiday func(y int, country string) time.Time

func fixedDay(m time.Month, d int) holiday {
	return func(y int, _ string) time.Time { return day(y, m, d) }
}

func afterEaster(days int) holiday {
	return func(y int, _ string) time.Time { return easter(y).AddDate(0, 0, days) }
}

// advent gives the nth Sunday of Advent; the fourth is the last Sunday before Christmas Day.
func advent(n int) holiday {
	return func(y int, _ string) time.Time {
		christmas := day(y, time.December, 25)
		back := int(christmas.Weekday())
		if back == 0 {
			back = 7
		}
		return christmas.AddDate(0, 0, -back-7*(4-n))
	}
}

// holidays are days that people call by name in Germany, Austria, Switzerland and where English is spoken. They serve to
// understand names, never to refuse a day.
var holidays = func() *phrases[holiday] {
	p := &phrases[holiday]{}
	p.add(fixedDay(1, 1), "neujahr|neujahrstag|new years day|new year|new years")
	p.add(fixedDay(1, 6), "heilige drei könige|heiligen drei könige|dreikönig|dreikönigstag|heilig drei könig|epiphany")
	p.add(fixedDay(2, 14), "valentinstag|valentines day|valentines")
	p.add(fixedDay(5, 1), "tag der arbeit|maifeiertag|erster mai|ersten mai|staatsfeiertag")
	p.add(fixedDay(8, 15), "mariä himmelfahrt|maria himmelfahrt")
	p.add(fixedDay(10, 3), "tag der deutschen einheit|tag der einheit|german unity day")
	p.add(fixedDay(10, 31), "reformationstag|halloween")
	p.add(fixedDay(11, 1), "allerheiligen|all saints day|all saints")
	p.add(fixedDay(11, 11), "martinstag|sankt martin|st martin")
	p.add(fixedDay(12, 6), "nikolaus|nikolaustag|nikolo|samichlaus")
	p.add(fixedDay(12, 8), "mariä empfängnis|maria empfängnis")
	p.add(fixedDay(12, 24), "heiligabend|heiliger abend|heiligen abend|heilig abend|christmas eve|weihnachtsabend|heiligobig")
	p.add(fixedDay(12, 25), "erster weihnachtstag|ersten weihnachtstag|erster weihnachtsfeiertag|ersten weihnachtsfeiertag|1 weihnachtstag|1 weihnachtsfeiertag|christtag|weihnachtstag|christmas day|christmas|xmas|weihnachten")
	p.add(fixedDay(12, 26), "zweiter weihnachtstag|zweiten weihnachtstag|zweiter weihnachtsfeiertag|zweiten weihnachtsfeiertag|2 weihnachtstag|2 weihnachtsfeiertag|stefanitag|stephanitag|stephanstag|stefanstag|boxing day")
	p.add(fixedDay(12, 31), "silvester|sylvester|altjahrstag|altjahrabend|new years eve")
	p.add(afterEaster(-52), "weiberfastnacht|altweiber|schmotziger donnerstag")
	p.add(afterEaster(-48), "rosenmontag")
	p.add(afterEaster(-47), "faschingsdienstag|fastnachtsdienstag|veilchendienstag|shrove tuesday|pancake day")
	p.add(afterEaster(-46), "aschermittwoch|ash wednesday")
	p.add(afterEaster(-7), "palmsonntag|palm sunday")
	p.add(afterEaster(-3), "gründonnerstag|maundy thursday")
	p.add(afterEaster(-2), "karfreitag|good friday")
	p.add(afterEaster(-1), "karsamstag|ostersamstag|easter saturday|holy saturday")
	p.add(afterEaster(0), "ostersonntag|easter sunday|easter day")
	p.add(afterEaster(1), "ostermontag|easter monday")
	p.add(afterEaster(39), "christi himmelfahrt|himmelfahrt|auffahrt|vatertag|ascension day|ascension|himmelfahrtstag")
	p.add(afterEaster(49), "pfingstsonntag|whit sunday|pentecost")
	p.add(afterEaster(50), "pfingstmontag|whit monday|pentecost monday")
	p.add(afterEaster(60), "fronleichnam|corpus christi")
	p.add(advent(1), "erster advent|ersten advent|1 advent|first advent|first sunday of advent")
	p.add(advent(2), "zweiter advent|zweiten advent|2 advent")
	p.add(advent(3), "dritter advent|dritten advent|3 advent")
	p.add(advent(4), "vierter advent|vierten advent|4 advent")
	p.add(func(y int, c string) time.Time { return advent(4)(y, c).AddDate(0, 0, -32) }, "buß und bettag|buss und bettag|bußtag")
	p.add(func(y int, c string) time.Time { return advent(4)(y, c).AddDate(0, 0, -28) }, "totensonntag|ewigkeitssonntag")
	p.add(func(y int, c string) time.Time {
		if strings.EqualFold(c, "CH") {
			return day(y, time.August, 1)
		}
		return day(y, time.October, 26)
	}, "nationalfeiertag")
	p.add(fixedDay(8, 1), "bundesfeier|bundesfeiertag|1 august feier|swiss national day")
	p.add(func(y int, c string) time.Time { return nth(y, time.May, time.Sunday, 2) }, "muttertag")
	p.add(func(y int, c string) time.Time { return nth(y, time.November, time.Thursday, 4) }, "thanksgiving|thanksgiving day")
	p.add(func(y int, c string) time.Time { return nth(y, time.November, time.Thursday, 4).AddDate(0, 0, 1) }, "black friday")
	p.add(func(y int, c string) time.Time {
		if strings.EqualFold(c, "US") {
			return nth(y, time.September, time.Monday, 1)
		}
		return day(y, time.May, 1)
	}, "labor day|labour day")
	p.add(fixedDay(7, 4), "independence day|fourth of july")
	return p
}()
