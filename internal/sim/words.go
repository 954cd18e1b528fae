package sim

// story is one kind of concern and what both sides say about it. Braces are the customer's facts.
type story struct {
	key, tag string
	weight   int
	subjects []string // of mails
	mail     []string // how it begins, without greeting
	chat     []string
	opening  string   // picture that comes along at once, "" = none
	picture  string   // picture if asked for one
	paper    string   // document if asked for one
	ask      []string // the company: what it needs to know
	details  []string // the customer: what they know, one at a time
	solve    []string // the company: what it did
	follow   []qa     // what the customer wants to know then
	thanks   []string // how it ends
	note     []string // what advisors tell each other
}

type qa struct{ q, a string }

var stories = []story{
	{key: "unfall", tag: "Schaden", weight: 4, picture: "auto", paper: "Unfallbericht",
		subjects: []string{"Unfall mit meinem {auto}", "Schadenmeldung {kfz}", "Auffahrunfall, {kennzeichen}", "Was muss ich nach dem Unfall tun?"},
		mail: []string{
			"mir ist heute jemand hinten ins Auto gefahren, an der Ampel in der {strasse}. Verletzt ist zum Glück niemand. Mein Kennzeichen ist {kennzeichen}, Vertrag {kfz}.\n\nWie geht es jetzt weiter? Darf ich den Wagen schon in die Werkstatt bringen?",
			"ich muss leider einen Unfall melden. Beim Ausparken in der {strasse} hat mich ein Lieferwagen gestreift. Der Fahrer war vernünftig, wir haben Adressen getauscht.\n\nVertrag: {kfz}\nKennzeichen: {kennzeichen}\n\nMuss ich jetzt selbst etwas an seine Versicherung schreiben?",
			"auf der A60 ist mir gestern Abend ein Kleintransporter in die Seite gefahren. Die Polizei war da. Mein {auto} ist noch fahrbereit, aber die Tür schließt nicht mehr richtig. Die Vertragsnummer ist {kfz}.\n\nBrauche ich einen Gutachter oder reicht ein Kostenvoranschlag?",
		},
		chat: []string{"Hatte gerade einen Unfall in der {strasse} 😬 Keiner verletzt. Was muss ich jetzt machen?", "Mir ist einer ins Auto gefahren. Kennzeichen {kennzeichen}. Muss ich die Polizei rufen?", "Hallo, Blechschaden auf dem Parkplatz. Der andere hat seine Nummer dagelassen. Wie melde ich das?"},
		ask:  []string{"gut, dass niemandem etwas passiert ist. Können Sie uns ein Foto vom Schaden schicken, und war die Polizei da?", "das tut mir leid. Wann genau ist es passiert, und haben Sie Name und Kennzeichen der Gegenseite? Ein Foto hilft uns auch."},
		details: []string{
			"Das war gegen 17:20 Uhr, kurz hinter der Bushaltestelle.", "Die Polizei war nicht da, wir haben uns so geeinigt. Name und Kennzeichen vom anderen habe ich: Herr Baier, WI-KL 318.",
			"Laufleistung etwa {km} km, falls das wichtig ist. Es war sonst niemand im Auto.", "Die Werkstatt wäre Auto Kern in {ort}, die hatten den Wagen auch zur Inspektion."},
		solve:  []string{"der Schaden ist beim Versicherer gemeldet. Sie können den Wagen in die Werkstatt bringen, die Freigabe kommt heute noch per E-Mail. Einen Gutachter brauchen Sie bei dieser Höhe nicht.", "ich habe alles weitergegeben. Die Gegenseite ist voll haftbar, Ihr Beitrag bleibt also, wie er ist. Die Werkstatt rechnet direkt ab."},
		follow: []qa{{"Bekomme ich so lange einen Leihwagen?", "ja, ein Mietwagen der kleineren Klasse ist für die Dauer der Reparatur abgedeckt. Die Werkstatt stellt ihn."}, {"Und wie ist das mit der Selbstbeteiligung, muss ich die vorstrecken?", "nein. Da die Gegenseite haftet, fällt für Sie keine Selbstbeteiligung an."}},
		thanks: []string{"Super, das ging ja schnell. Vielen Dank!", "Danke, da fällt mir ein Stein vom Herzen.", "Alles klar, dann bringe ich ihn morgen hin. Danke für die Hilfe!"},
		note:   []string{"Gegenseite haftet, Versicherer hat bestätigt.", "Rückstufung geprüft: Rabattretter greift."}},
	{key: "parkschaden", tag: "Schaden", weight: 3, opening: "auto", picture: "auto",
		subjects: []string{"Parkrempler am {auto}", "Kratzer am Auto, {kennzeichen}", "Fahrerflucht auf dem Parkplatz"},
		mail: []string{
			"als ich heute vom Einkaufen kam, hatte mein {auto} eine dicke Schramme. Der Verursacher ist natürlich weg. Ein Foto habe ich angehängt.\n\nZahlt da die Kasko (Vertrag {kfz})?",
			"leider hat mir jemand auf dem Parkplatz an der {strasse} das Auto zerkratzt, ohne Zettel. Anbei ein Bild. Lohnt sich eine Meldung, oder werde ich dann hochgestuft?",
		},
		chat:    []string{"Schaut mal, so stand mein Auto eben auf dem Parkplatz 😡 Zahlt das die Kasko?", "Jemand hat mein Auto angefahren und ist weg. Foto anbei. Was tun?"},
		ask:     []string{"ärgerlich! Haben Sie den Schaden schon bei der Polizei angezeigt? Bei Fahrerflucht brauchen wir das Aktenzeichen.", "danke für das Foto. Gibt es Zeugen oder eine Kamera auf dem Parkplatz?"},
		details: []string{"Ja, Anzeige habe ich gestellt, das Aktenzeichen ist 0417/26-MZ.", "Eine Zeugin gibt es leider nicht. Der Markt hat eine Kamera, die fragen nach.", "Gekauft habe ich den {auto} vor drei Jahren, er hat {km} km."},
		solve:   []string{"die Teilkasko zahlt hier nicht, die Vollkasko schon. Bei 300 € Selbstbeteiligung und rund 900 € Schaden lohnt es sich. Ich habe die Meldung vorbereitet.", "gemeldet ist er. Die Werkstatt in {ort} kann sofort anfangen, die Kosten übernimmt die Vollkasko abzüglich der Selbstbeteiligung."},
		follow:  []qa{{"Und um wie viel teurer wird es dann im nächsten Jahr?", "in Ihrem Fall um etwa 62 € im Jahr, also weniger als der Schaden."}},
		thanks:  []string{"Dann machen wir das so. Danke schön!", "Gut zu wissen, danke für die ehrliche Auskunft.", "Perfekt, danke."},
		note:    []string{"Vollkasko mit 300 € SB, Hochstufung ca. 62 € p. a."}},
	{key: "abholung", tag: "Schaden", weight: 3, picture: "auto",
		subjects: []string{"Wann kann ich mein Auto holen?", "{kennzeichen}: ist er fertig?", "Reparatur {auto}"},
		mail: []string{
			"mein {auto} steht seit letzter Woche in der Werkstatt. Wann kann ich mein Auto holen? Vormittags wäre mir am liebsten.",
			"die Werkstatt wollte sich melden, wenn der {auto} ({kennzeichen}) fertig ist, bisher habe ich nichts gehört. Wann kann ich ihn abholen, und wo genau?",
			"seit Montag fahre ich mit dem Leihwagen. Ist mein {auto} inzwischen repariert? Ich bräuchte ihn zum Wochenende wieder.",
		},
		chat:    []string{"Wann kann ich mein Auto holen? 🚗", "Ist mein {auto} schon fertig? Kennzeichen {kennzeichen}", "Gibt es einen Termin zum Abholen?"},
		ask:     []string{"die Werkstatt ist fast fertig. Passt Ihnen Donnerstag um 16 Uhr zum Abholen?", "die Lackierung trocknet noch. Reicht Ihnen Freitag früh?"},
		details: []string{"Ja, da kann ich.", "Ab 15 Uhr geht es bei mir immer.", "Den Leihwagen bringe ich dann gleich mit zurück."},
		solve:   []string{"Ihr Auto ist fertig und steht in der Werkstatt in {ort}. Sie können es werktags von 8 bis 18 Uhr abholen, der Schlüssel liegt am Empfang.", "die Reparatur ist abgeschlossen. Abholen können Sie ab morgen 10 Uhr, bezahlt ist alles."},
		follow:  []qa{{"Muss der Leihwagen vollgetankt sein?", "ja, bitte so, wie Sie ihn bekommen haben."}},
		thanks:  []string{"Prima, dann komme ich vorbei. Danke!", "Wunderbar, vielen Dank!", "Danke, bis dann."},
		note:    []string{"Werkstatt gibt Bescheid, Leihwagen bis dahin verlängert."}},
	{key: "wasser", tag: "Schaden", weight: 4, picture: "wasser", paper: "Rechnung Notdienst",
		subjects: []string{"DRINGEND: Wasserschaden", "Wasserschaden in der Küche, {hausrat}", "Rohrbruch, was tun?", "Feuchter Fleck an der Decke"},
		mail: []string{
			"bei uns ist heute Nacht ein Rohr unter der Spüle geplatzt. Die Küche stand unter Wasser, das Laminat wölbt sich schon. Der Notdienst hat abgedreht.\n\nWir sind bei Ihnen mit der Hausratversicherung {hausrat} versichert. Wer übernimmt was?",
			"über unserem Esszimmer hat sich ein großer Wasserfleck gebildet, offenbar läuft oben bei den Nachbarn etwas aus. Es tropft inzwischen. Was sollen wir als Erstes tun? Unsere Vertragsnummer ist {hausrat}.",
			"die Waschmaschine ist ausgelaufen und das Wasser ist bis ins Kinderzimmer gelaufen. Teppich und ein Regal sind hin. Ist das ein Fall für den Hausrat ({hausrat}) oder die Gebäudeversicherung?",
		},
		chat:    []string{"Hilfe, bei uns läuft Wasser durch die Decke!! Wen rufe ich an?", "Wasserschaden in der Küche 😩 Notdienst war da. Soll ich schon aufräumen oder alles so lassen?", "Rohrbruch heute Nacht. Hausrat {hausrat}. Was braucht ihr von mir?"},
		ask:     []string{"das klingt nach einer langen Nacht. Bitte drehen Sie das Wasser ab, machen Sie Fotos und werfen Sie noch nichts weg. Können Sie uns die Bilder schicken?", "haben Sie schon einen Notdienst beauftragt? Wenn ja, schicken Sie uns bitte die Rechnung als PDF. Und seit wann läuft das Wasser?"},
		details: []string{"Bemerkt haben wir es gegen 6 Uhr früh, es muss schon ein paar Stunden gelaufen sein.", "Das Haus ist Baujahr 1978, die Leitungen sind soweit wir wissen noch die ersten.", "Betroffen sind Küche und Flur, etwa 14 Quadratmeter."},
		solve:   []string{"der Schaden ist gemeldet, Nummer SW-2208. Die Trocknungsfirma ruft Sie heute an und stellt die Geräte morgen auf. Die Möbel zahlt der Hausrat zum Neuwert.", "gute Nachricht: Der Boden läuft über das Gebäude, Ihre Sachen über den Hausrat. Beides habe ich angestoßen, ein Gutachter kommt am Donnerstag."},
		follow:  []qa{{"Wer zahlt den Strom für die Trocknungsgeräte?", "den Strom übernimmt der Versicherer. Notieren Sie einfach den Zählerstand vor und nach der Trocknung."}, {"Darf ich das kaputte Regal schon entsorgen?", "bitte erst nach dem Gutachtertermin. Wenn es im Weg ist, reicht notfalls ein Foto von allen Seiten."}},
		thanks:  []string{"Sie sind wirklich eine große Hilfe, vielen Dank!", "Danke! Dann warten wir auf den Anruf.", "Beruhigend, dass sich jemand kümmert. Danke."},
		note:    []string{"Trocknung beauftragt. Kunde hat kleines Kind, bitte zügig.", "Regress beim Nachbarn prüfen."}},
	{key: "hagel", tag: "Schaden", weight: 3, picture: "hagel",
		subjects: []string{"Hagelschaden {kennzeichen}", "Hagel am Samstag", "Dellen nach dem Unwetter"},
		mail: []string{
			"nach dem Hagel am Samstag sieht mein {auto} aus wie ein Golfball: Dach und Motorhaube sind voller Dellen. Vertrag {kfz}.\n\nGibt es wieder einen Sammeltermin mit dem Gutachter?",
			"der Hagel hat unser Auto und zwei Dachfenster erwischt. Das Auto läuft unter {kfz}, das Haus unter {haus}. Muss ich zwei Meldungen machen?",
		},
		chat:    []string{"Hagel hat mein Auto zerbeult 😭 Zahlt das die Teilkasko?", "Moin, Hagelschaden am {auto}. Wann kann sich das jemand ansehen?"},
		ask:     []string{"da sind Sie nicht allein, es hat die ganze Gegend erwischt. Schicken Sie uns bitte zwei Fotos, dann melde ich Sie zum Sammeltermin an.", "stand der Wagen im Freien, und sind auch Scheiben betroffen? Ein Bild wäre gut."},
		details: []string{"Er stand vor dem Haus, die Scheiben sind heil geblieben.", "Am besten passt mir ein Termin ab Mittwoch.", "Das Carport-Dach hat auch etwas abbekommen, aber das ist halb so wild."},
		solve:   []string{"Sie sind angemeldet: Donnerstag, 10:40 Uhr, Halle 3 am Gewerbering. Bringen Sie nur den Fahrzeugschein mit. Die Teilkasko zahlt ohne Hochstufung.", "gemeldet ist alles, mehr brauchen wir von Ihnen nicht. Der Gutachter kommt am Freitag zwischen 9 und 12 Uhr zu Ihnen, eine Hochstufung gibt es nicht."},
		follow:  []qa{{"Kann ich mir den Schaden auch auszahlen lassen, statt reparieren zu lassen?", "ja, dann bekommen Sie den Betrag ohne Mehrwertsteuer. Sagen Sie es einfach dem Gutachter."}},
		thanks:  []string{"Prima, Termin ist eingetragen. Danke!", "Danke, das passt mir gut.", "Sehr nett, vielen Dank!"},
		note:    []string{"Sammeltermin Hagel Do 10:40."}},
	{key: "glas", tag: "Schaden", weight: 2, opening: "scheibe", picture: "scheibe",
		subjects: []string{"Steinschlag", "Riss in der Windschutzscheibe {kennzeichen}"},
		mail:     []string{"auf der Autobahn hat mir ein Stein die Frontscheibe erwischt, siehe Foto. Der Riss wird größer. Kann ich einfach zu einer Glaswerkstatt fahren? Vertrag {kfz}.", "ich habe einen Steinschlag genau im Sichtfeld. Anbei ein Bild. Wird die Scheibe ersetzt, und was muss ich selbst zahlen?"},
		chat:     []string{"Steinschlag in der Frontscheibe 🙄 Kann ich direkt zur Glaswerkstatt?", "Seht ihr den Riss? Muss da eine neue Scheibe rein?"},
		ask:      []string{"danke für das Bild. Ist der Riss länger als ein Finger, oder reicht er bis an den Rand?"},
		details:  []string{"Er ist etwa zwölf Zentimeter lang und geht fast bis zum Rand.", "Eine Kamera hinter dem Spiegel hat der Wagen auch, falls das wichtig ist."},
		solve:    []string{"das muss getauscht werden. Fahren Sie einfach hin, die Werkstatt rechnet mit uns ab. Sie zahlen 150 € Selbstbeteiligung."},
		follow:   []qa{{"Werde ich dadurch hochgestuft?", "nein, Glasschäden laufen über die Teilkasko und stufen nicht hoch."}},
		thanks:   []string{"Alles klar, mache gleich einen Termin. Danke!", "Danke für die schnelle Antwort 👍"},
		note:     []string{"Glas, TK 150 SB."}},
	{key: "fahrrad", tag: "Schaden", weight: 2, picture: "fahrrad", paper: "Anzeige Fahrraddiebstahl",
		subjects: []string{"Fahrrad gestohlen", "Diebstahl meines E-Bikes, {hausrat}"},
		mail:     []string{"mein E-Bike wurde gestern am Bahnhof gestohlen. Abgeschlossen war es, das Schloss lag durchgeschnitten daneben. Ist das über den Hausrat {hausrat} mitversichert?", "heute früh war das Rad meiner Tochter aus dem Hof verschwunden. Welche Unterlagen brauchen Sie von mir?"},
		chat:     []string{"Fahrrad geklaut 😠 Ist das im Hausrat drin?", "Mein E-Bike ist weg, Schloss aufgeschnitten. Was braucht ihr?"},
		ask:      []string{"das ist ärgerlich. Wir brauchen die Anzeige der Polizei als PDF und den Kaufbeleg. Haben Sie ein Foto vom Schloss?", "wann haben Sie das Rad zuletzt gesehen, und was hat es gekostet?"},
		details:  []string{"Zuletzt gesehen habe ich es um halb acht, gegen 18 Uhr war es weg.", "Gekostet hat es 2.899 €, gekauft vor anderthalb Jahren. Die Rahmennummer steht auf der Rechnung."},
		solve:    []string{"Fahrraddiebstahl ist bei Ihnen bis 3.000 € eingeschlossen. Der Versicherer zahlt den Neuwert, das Geld ist in etwa zehn Tagen da."},
		follow:   []qa{{"Gilt das auch für das Schloss? Das war auch nicht billig.", "das Schloss wird mit ersetzt, legen Sie den Beleg einfach dazu."}},
		thanks:   []string{"Das ist ja mal eine gute Nachricht. Danke!", "Vielen Dank, ich hatte schon Schlimmeres befürchtet."},
		note:     []string{"Fahrradklausel 3.000 €, Schloss mitversichert."}},
	{key: "beitrag", tag: "Vertrag", weight: 3, paper: "Beitragsrechnung", picture: "brief",
		subjects: []string{"Frage zu {kfz}", "Beitragserhöhung {kfz}", "Warum ist mein Beitrag gestiegen?", "Ihre Rechnung"},
		mail: []string{
			"ich habe die neue Rechnung für {kfz} bekommen. Der Beitrag ist um {betrag} gestiegen, obwohl ich keinen Unfall hatte. Können Sie mir das bitte erklären?",
			"zum Vertrag {kfz}: Meine Tochter ist ausgezogen und fährt den Wagen nicht mehr. Wird es dadurch günstiger? Außerdem fahre ich nur noch rund 9.000 km im Jahr.",
			"mein Beitrag zu {haus} ist schon wieder teurer geworden. Woran liegt das, und kann man etwas machen?",
		},
		chat:    []string{"Warum kostet {kfz} plötzlich {betrag} mehr?", "Kurze Frage zu meinem Vertrag {kfz}: ich fahre weniger, wird das billiger?", "Habe die Rechnung bekommen und bin etwas erschrocken. Könnt ihr mal draufschauen?"},
		ask:     []string{"ich schaue mir das gern an. Wie viele Kilometer fahren Sie im Jahr, und wer fährt außer Ihnen noch?", "können Sie mir die Rechnung einmal als PDF schicken? Dann sehe ich, welcher Teil gestiegen ist."},
		details: []string{"Es fahren nur noch mein Mann und ich, beide über 40.", "Im Jahr sind es höchstens 9.000 km, der Wagen steht in der Garage.", "Die Typklasse hatte mir im letzten Jahr schon jemand erklärt, daran kann es doch nicht wieder liegen."},
		solve:   []string{"der Anstieg kommt aus der neuen Regionalklasse. Mit 9.000 km und Garage konnte ich ihn aber ausgleichen: Sie zahlen ab sofort 38 € weniger als bisher.", "ich habe die Fahrer und die Kilometer ändern lassen. Das spart rund 74 € im Jahr, der neue Schein ist unterwegs."},
		follow:  []qa{{"Ab wann gilt das, auch rückwirkend?", "rückwirkend zum Ersten des Monats, die Differenz wird mit der nächsten Rate verrechnet."}, {"Und wenn ich jährlich zahle statt vierteljährlich?", "dann sparen Sie noch einmal fünf Prozent. Soll ich es umstellen?"}},
		thanks:  []string{"Das ist erfreulich, vielen Dank für die Mühe.", "So habe ich es verstanden, danke!", "Danke, damit bin ich zufrieden."},
		note:    []string{"Alternative bei zwei Versicherern gerechnet, bleibt am günstigsten.", "Kundin reagiert empfindlich auf Erhöhungen, vor der Hauptfälligkeit anrufen."}},
	{key: "kuendigung", tag: "Kündigung droht", weight: 3, paper: "Vergleichsangebot",
		subjects: []string{"Kündigung {kfz}?", "Ich überlege zu wechseln", "Angebot der Konkurrenz"},
		mail: []string{
			"ein Vergleichsportal bietet mir dieselbe Leistung wie {kfz} für {betrag} weniger im Jahr. Ich bin seit zwölf Jahren bei Ihnen und würde ungern gehen. Können Sie da mithalten?",
			"hiermit möchte ich vorsorglich ankündigen, dass ich {kfz} zum nächsten Termin kündigen werde, falls die Erhöhung so bleibt. Mein Schwager zahlt für dasselbe {betrag} weniger.",
		},
		chat:    []string{"Ich überlege zu kündigen, woanders zahle ich {betrag} weniger.", "Mir ist {kfz} zu teuer geworden. Geht da noch was, oder soll ich wechseln?", "Wie kündige ich {kfz}?"},
		ask:     []string{"das tut mir leid, und ich verstehe Ihren Ärger. Können Sie mir das Angebot als PDF schicken? Dann rechne ich es ehrlich gegen.", "das möchte ich in Ordnung bringen. Darf ich Sie anrufen? Wann passt es Ihnen?"},
		details: []string{"Es geht mir nicht nur um das Geld. Aber der Unterschied ist schon groß.", "Das Angebot gilt noch bis Monatsende.", "Nachmittags bin ich gut zu erreichen."},
		solve:   []string{"ich habe drei Versicherer gerechnet: Mit Rabattschutz und Werkstattbindung komme ich auf denselben Preis, Sie müssten nirgendwohin wechseln. Den Vorschlag bekommen Sie heute.", "das Angebot hat eine höhere Selbstbeteiligung und keinen Rabattschutz. Bei gleicher Leistung komme ich auf 11 € Unterschied, die kann ich Ihnen nachlassen."},
		follow:  []qa{{"Und das bekomme ich auch schriftlich?", "selbstverständlich, die Bestätigung geht heute noch per Post und per E-Mail an Sie."}},
		thanks:  []string{"Gut, dann bleibe ich. Danke, dass Sie sich gekümmert haben.", "Das nenne ich Service. Entschuldigen Sie den Ton vorhin.", "In Ordnung, damit kann ich leben. Danke."},
		note:    []string{"Kündigungsgefahr! Seit 12 Jahren Kunde, 5 Verträge.", "Bitte nach 14 Tagen noch einmal anrufen, ob alles angekommen ist."}},
	{key: "beschwerde", tag: "Kündigung droht", weight: 2,
		subjects: []string{"So nicht!", "Unzufrieden mit dem letzten Schaden", "Keine Antwort seit drei Wochen"},
		mail:     []string{"ich bin ehrlich gesagt enttäuscht. Seit drei Wochen warte ich auf eine Antwort zu meinem Schaden. Wenn sich bis Freitag niemand meldet, kündige ich alle Verträge und gehe zu einem Direktversicherer.", "zweimal habe ich schon angerufen, zweimal wurde mir ein Rückruf versprochen. Es geht um den Haftpflichtschaden zu {haft}. Bin ich Ihnen als Kunde noch wichtig?"},
		chat:     []string{"Sorry, aber so lange warte ich nicht mehr. Was ist mit meinem Schaden?", "Seit drei Wochen keine Antwort. So kündige ich."},
		ask:      []string{"das darf nicht passieren, bitte entschuldigen Sie. Darf ich Sie heute anrufen? Wann passt es Ihnen?", "das tut mir leid, und ich verstehe Ihren Ärger. Haben Sie die Schadennummer zur Hand?"},
		details:  []string{"Der Schaden war im Frühjahr, es ging um die Haftpflicht {haft}.", "Es geht mir nicht nur um das Geld. Ich hätte gern jemanden, der sich meldet."},
		solve:    []string{"ich habe nachgesehen: Der Schaden lag beim Versicherer ohne Bearbeiter. Das Geld ist heute angewiesen, und künftig bin ich Ihr fester Ansprechpartner."},
		follow:   []qa{{"Und warum hat mir das niemand gesagt?", "weil es bei uns niemandem aufgefallen ist. Das ist unser Fehler, und wir haben es geändert."}},
		thanks:   []string{"Danke für die ehrlichen Worte. Ich bleibe.", "Na also, geht doch. Danke, dass Sie sich gekümmert haben.", "Gut. Entschuldigen Sie den Ton vorhin."},
		note:     []string{"Beschwerde! Schaden lag vier Wochen ohne Bearbeiter.", "Chefsache, Miriam weiß Bescheid."}},
	{key: "sepa", tag: "Zahlung", weight: 3, paper: "SEPA-Mandat",
		subjects: []string{"Neue Bankverbindung", "SEPA-Lastschrift geplatzt", "Änderung IBAN zu {hausrat}"},
		mail: []string{
			"ich habe die Bank gewechselt. Bitte buchen Sie künftig von diesem Konto ab:\n\n{iban}\n\nGilt das dann für alle meine Verträge?",
			"ich habe eine Mahnung bekommen, weil die Lastschrift zurückging. Das alte Konto gibt es nicht mehr. Die neue IBAN lautet {iban}. Ist der Schutz zu {hausrat} jetzt unterbrochen?",
		},
		chat:    []string{"Habe eine neue Bank. Wo kann ich die IBAN ändern?", "Lastschrift ist zurückgegangen, sorry! Neues Konto: {iban}"},
		ask:     []string{"gern. Nennen Sie mir bitte die neue IBAN und ab wann sie gelten soll. Das Mandat schicke ich Ihnen zur Unterschrift.", "danke. Können Sie das unterschriebene SEPA-Mandat als PDF zurückschicken?"},
		details: []string{"Ab dem nächsten Ersten, bitte für alle Verträge.", "Die IBAN ist {iban}, Kontoinhaber bin ich selbst."},
		solve:   []string{"die neue Bankverbindung ist bei allen Ihren Verträgen hinterlegt. Der Versicherungsschutz bestand durchgehend.", "erledigt, ab dem nächsten Ersten wird vom neuen Konto abgebucht. Eine Bestätigung der Versicherer kommt per Post."},
		follow:  []qa{{"Muss ich bei der alten Bank noch etwas kündigen?", "nein, das alte Mandat ist automatisch erloschen."}},
		thanks:  []string{"Wunderbar, danke fürs Kümmern.", "Danke, das war ja unkompliziert."},
		note:    []string{"SEPA-Mandat liegt vor."}},
	{key: "doppelt", tag: "Zahlung", weight: 1, paper: "Kontoauszug", picture: "brief",
		subjects: []string{"Doppelt abgebucht", "Abbuchung {haft}"},
		mail:     []string{"der Beitrag für {haft} wurde diesen Monat zweimal abgebucht, jeweils {betrag}. Können Sie das bitte prüfen?", "auf meinem Konto stehen zwei gleiche Abbuchungen über {betrag}. Soll ich eine zurückgehen lassen?"},
		chat:     []string{"Bei mir wurde doppelt abgebucht, {betrag}. Könnt ihr mal schauen?"},
		ask:      []string{"das sehe ich mir an. Schicken Sie mir bitte den Kontoauszug als PDF oder Foto?"},
		details:  []string{"Abgebucht wurde einmal am 1. und noch einmal am 4."},
		solve:    []string{"es war ein Fehler beim Versicherer. Der doppelte Betrag ist in drei Tagen wieder auf Ihrem Konto, Sie müssen nichts tun."},
		thanks:   []string{"Geld ist schon da, danke!", "Danke fürs Nachhaken."},
		note:     []string{"Versicherer bestätigt Doppelabbuchung, Rücklauf veranlasst."}},
	{key: "umzug", tag: "Vertrag", weight: 3,
		subjects: []string{"Neue Adresse", "Wir ziehen um", "Adressänderung {nachname}"},
		mail: []string{
			"wir ziehen zum Monatsende um. Die neue Anschrift:\n\n{name}\n{neu}\n\nBitte ändern Sie das überall. Die Wohnung hat jetzt 94 statt 71 Quadratmeter, muss der Hausrat {hausrat} angepasst werden?",
			"kurze Mitteilung: Ich wohne seit letzter Woche in {neu}. Bisher war es {adresse}. Können Sie die Adresse in allen Verträgen ändern?",
		},
		chat:    []string{"Bin umgezogen! Neue Adresse: {neu} 📦", "Hallo, wo melde ich meine neue Adresse?"},
		ask:     []string{"alles Gute im neuen Zuhause! Wie groß ist die Wohnung, und in welchem Stockwerk liegt sie?", "danke für die Mitteilung. Ab welchem Datum gilt die neue Adresse, und wird die alte Wohnung noch eine Weile mitgenutzt?"},
		details: []string{"94 Quadratmeter, zweiter Stock, Altbau.", "Die neue Adresse ist {neu}. Übergabe ist am 28., ab da sind wir dort.", "Die alte Wohnung haben wir noch bis Mitte des nächsten Monats."},
		solve:   []string{"die Adresse ist überall geändert. Der Hausrat ist auf 94 m² angepasst, das kostet 1,80 € mehr im Monat. Während des Umzugs sind beide Wohnungen versichert."},
		follow:  []qa{{"Und das Auto, muss ich das auch ummelden?", "ja, beim Bürgeramt. Die Versicherung ändere ich gleich mit, da müssen Sie nichts tun."}},
		thanks:  []string{"Sehr gut, wieder ein Punkt weniger auf der Liste. Danke!", "Vielen Dank, und schöne Grüße aus dem Kistenchaos!"},
		note:    []string{"Unterversicherungsverzicht bleibt bei 94 m² erhalten."}},
	{key: "evb", tag: "Vertrag", weight: 2,
		subjects: []string{"eVB-Nummer für Zulassung", "Neues Auto"},
		mail:     []string{"ich hole am Freitag meinen neuen {auto} ab und brauche dafür die eVB-Nummer. Der alte ({kennzeichen}, {kfz}) wird abgemeldet. Geht das noch rechtzeitig?", "wir haben uns für ein Elektroauto entschieden und möchten es nächste Woche anmelden. Wie komme ich an eine eVB?"},
		chat:     []string{"Brauche schnell eine eVB-Nummer, Zulassung ist morgen früh 🙈", "Neues Auto! Könnt ihr mir eine eVB schicken?"},
		ask:      []string{"Glückwunsch! Schicken Sie mir bitte ein Foto vom Fahrzeugschein, und soll es wieder Vollkasko sein?"},
		picture:  "brief",
		details:  []string{"Vollkasko ja, Selbstbeteiligung wie bisher.", "Erstzulassung war vor zwei Jahren, er steht in der Garage, {km} km hat er runter."},
		solve:    []string{"Ihre eVB-Nummer lautet G7K4-Q2Z. Sie gilt ab sofort, den Schein schicke ich nach der Zulassung."},
		follow:   []qa{{"Wird mein Schadenfreiheitsrabatt übernommen?", "ja, die SF-Klasse 14 geht komplett auf das neue Fahrzeug über."}},
		thanks:   []string{"Spitze, das hat geklappt. Danke!", "Danke, ihr habt mir den Tag gerettet!"},
		note:     []string{"eVB ausgestellt, Altfahrzeug nach Abmeldung beenden."}},
	{key: "reise", tag: "Vertrag", weight: 1,
		subjects: []string{"Urlaub: bin ich versichert?", "Drei Wochen Kanada"},
		mail:     []string{"wir fliegen im Herbst für drei Wochen nach Kanada. Gilt die Auslandskrankenversicherung {reise} dort auch, und sind die Kinder mit drin?", "unsere Tochter macht ein Schuljahr in Irland. Reicht dafür die Auslandskrankenversicherung {reise}, oder braucht sie etwas Eigenes?"},
		chat:     []string{"Wir fahren nach Norwegen, reicht da die normale Karte?", "Kurze Frage: gilt {reise} auch in den USA?"},
		ask:      []string{"gern. Wie lange sind Sie unterwegs, und wer fährt mit?"},
		details:  []string{"Gut drei Wochen, wir sind zu viert.", "Die Kinder sind 6 und 11."},
		solve:    []string{"der Schutz gilt weltweit bis 56 Tage, die Kinder sind eingeschlossen. Eine Bestätigung auf Englisch schicke ich Ihnen mit. Für länger biete ich Ihnen gern etwas an."},
		follow:   []qa{{"Gilt das auch, wenn wir zwischendurch in den USA sind?", "ja, auch dort, ohne Zuschlag."}},
		thanks:   []string{"Dann kann der Urlaub kommen. Danke!", "Herzlichen Dank und liebe Grüße"},
		note:     []string{"Bestätigung auf Englisch verschickt."}},
	{key: "arzt", tag: "Schaden", weight: 2, paper: "Arztrechnung", picture: "brief",
		subjects: []string{"Arztrechnung aus Spanien", "Arzt im Urlaub, {reise}"},
		mail:     []string{"im Urlaub musste mein Mann mit einer Ohrenentzündung zum Arzt. Wir haben {betrag} bar bezahlt. Bekommen wir das wieder (Vertrag {reise})?", "ich habe mir im Wanderurlaub den Knöchel verstaucht und in der Klinik {betrag} bezahlt. Was brauchen Sie von mir?"},
		chat:     []string{"War im Urlaub beim Arzt und habe {betrag} gezahlt. Bekomme ich das zurück?"},
		ask:      []string{"hoffentlich ist alles wieder gut. Schicken Sie mir die Rechnung bitte als PDF oder Foto. In welchem Zeitraum waren Sie unterwegs?"},
		details:  []string{"Wir waren vom 3. bis 17. unterwegs, die Behandlung war am 9.", "Ja, alles wieder in Ordnung. Das Original habe ich noch."},
		solve:    []string{"die Rechnung ist eingereicht, Sie bekommen den vollen Betrag in etwa einer Woche."},
		follow:   []qa{{"Brauchen Sie auch die Quittung der Apotheke?", "ja, gern, die wird ebenfalls erstattet."}},
		thanks:   []string{"Das ging ja einfach. Vielen Dank!", "Danke, und schöne Grüße mit gesunden Ohren!"},
		note:     []string{"Rechnung übersetzt und eingereicht."}},
	{key: "haftpflicht", tag: "Schaden", weight: 2, picture: "brief", paper: "Kaufbeleg",
		subjects: []string{"Haftpflichtschaden", "Unser Sohn hat beim Nachbarn etwas kaputt gemacht"},
		mail:     []string{"unser Sohn (7) hat mit dem Fußball den Fernseher der Nachbarn getroffen. Das Display ist gesprungen. Zahlt das die Haftpflicht {haft}? Die Nachbarn sind sehr nett, und wir möchten das gern schnell regeln.", "unsere Tochter (5) hat beim Spielen das Tablet der Nachbarn vom Tisch gezogen, jetzt ist es gesprungen. Ist sie über {haft} mitversichert?"},
		chat:     []string{"Mein Kleiner hat den Fernseher vom Nachbarn erlegt ⚽️🙈 Zahlt das die Haftpflicht?", "Kind hat bei den Nachbarn etwas kaputt gemacht. Sind Kinder mitversichert?"},
		ask:      []string{"das passiert. Wie alt war das Gerät, und gibt es einen Kaufbeleg als PDF?"},
		details:  []string{"Das Gerät ist zwei Jahre alt und hat 799 € gekostet.", "Aufsicht hatte meine Frau, sie war aber kurz im Haus."},
		solve:    []string{"ja, das ist versichert, auch bei kleinen Kindern. Der Versicherer zahlt den Nachbarn den Zeitwert, das sind rund 620 €."},
		follow:   []qa{{"Warum nur den Zeitwert? Das ist mir vor den Nachbarn etwas peinlich.", "die Haftpflicht muss gesetzlich nur den Zeitwert ersetzen. Ich frage aber nach, ob der Versicherer aus Kulanz aufstockt."}},
		thanks:   []string{"Die Nachbarn freuen sich, und wir auch. Danke!", "Vielen lieben Dank!"},
		note:     []string{"Deliktunfähige Kinder mitversichert."}},
	{key: "bescheinigung", tag: "Unterlagen", weight: 2, paper: "Anforderung der Bank", picture: "brief",
		subjects: []string{"Bescheinigung für das Finanzamt", "Nachweis für die Bank, {haus}", "Police verlegt"},
		mail:     []string{"unsere Bank möchte einen Nachweis über die Gebäudeversicherung {haus}. Könnten Sie mir den bitte als PDF schicken?", "für die Steuererklärung brauche ich eine Aufstellung meiner Beiträge vom letzten Jahr. Geht das per E-Mail?", "ich finde meine Police zu {hausrat} nicht mehr. Können Sie mir eine Kopie zuschicken?"},
		chat:     []string{"Brauche eine Bescheinigung für die Steuer, geht das hier?", "Könnt ihr mir die Police {hausrat} noch mal schicken?"},
		ask:      []string{"sehr gern. Soll es an Ihre Adresse {adresse} gehen, oder reicht es als PDF?"},
		details:  []string{"Als PDF reicht es völlig.", "Bitte auf meinen Namen ausstellen, {name}."},
		solve:    []string{"die Bescheinigung ist erstellt und heute an Sie herausgegangen.", "die Aufstellung über alle Verträge ist fertig, Sie finden sie in Ihrer Post."},
		thanks:   []string{"Vielen Dank, das hilft mir sehr.", "Angekommen, danke!"},
		note:     []string{"Bescheinigung verschickt."}},
	{key: "termin", tag: "Beratung", weight: 2,
		subjects: []string{"Termin zur Altersvorsorge", "Beratung Berufsunfähigkeit", "Durchsicht aller Verträge"},
		mail:     []string{"wir bekommen im Frühjahr Nachwuchs und würden gern einmal alles durchgehen: Haftpflicht, Risikoleben, Berufsunfähigkeit. Wann hätten Sie Zeit?", "ich werde in zwei Jahren pensioniert und möchte wissen, welche Versicherungen ich dann noch brauche. Geht ein Termin am späten Nachmittag?"},
		chat:     []string{"Hätte gern mal einen Termin, am liebsten abends. Was geht?", "Wir bekommen ein Baby 🍼 Welche Versicherungen brauchen wir da?"},
		ask:      []string{"sehr gern. Passt Ihnen Dienstag um 17 Uhr, hier bei uns oder lieber per Video?"},
		details:  []string{"Dienstag 17 Uhr passt gut, wir kommen vorbei.", "Bei Ihnen im Büro wäre uns lieber."},
		solve:    []string{"dann halten wir fest: Dienstag, 17 Uhr, Schillerplatz 9, zweiter Stock. Bringen Sie gern Ihre Unterlagen mit."},
		follow:   []qa{{"Kostet die Beratung etwas?", "nein, die Beratung ist für Sie kostenlos. Wir leben von der Courtage der Versicherer und legen sie auf Wunsch offen."}},
		thanks:   []string{"Wunderbar, bis dann!", "Danke, ist notiert. Bis Dienstag!"},
		note:     []string{"Termin Di 17:00, Unterlagen BU vorbereiten."}},
	{key: "recht", tag: "Vertrag", weight: 1, paper: "Schreiben des Arbeitgebers", picture: "brief",
		subjects: []string{"Deckungsanfrage Rechtsschutz {recht}", "Abmahnung vom Arbeitgeber"},
		mail:     []string{"ich habe eine Abmahnung bekommen, die ich nicht auf mir sitzen lassen möchte. Ist das mit dem Rechtsschutz {recht} abgedeckt? Darf ich mir den Anwalt selbst aussuchen?"},
		chat:     []string{"Habe Ärger mit meinem Vermieter. Zahlt da der Rechtsschutz {recht}?"},
		ask:      []string{"ich frage die Deckung an. Schicken Sie mir das Schreiben bitte als PDF, und wann haben Sie es bekommen?"},
		details:  []string{"Bekommen habe ich es am Montag, unterschrieben habe ich nichts.", "Die Wartezeit müsste längst um sein, der Vertrag läuft seit vier Jahren."},
		solve:    []string{"die Deckungszusage ist da. Den Anwalt wählen Sie frei, die Selbstbeteiligung beträgt 150 €."},
		follow:   []qa{{"Können Sie einen Fachanwalt empfehlen?", "ich darf Ihnen drei Namen nennen, die unsere Kunden gelobt haben. Die Liste kommt gleich."}},
		thanks:   []string{"Vielen Dank, jetzt schlafe ich besser.", "Danke für die schnelle Klärung."},
		note:     []string{"Deckungszusage liegt vor, SB 150 €."}},
	{key: "hund", tag: "Vertrag", weight: 1,
		subjects: []string{"Wir haben jetzt einen Hund", "Hundehaftpflicht"},
		mail:     []string{"seit Samstag wohnt bei uns ein Hund aus dem Tierheim. Brauchen wir eine eigene Haftpflicht für ihn, oder läuft das über {haft}?"},
		chat:     []string{"Wir haben einen Hund 🐶 Ist der automatisch versichert?"},
		ask:      []string{"wie schön! Welche Rasse ist es, und wie alt ist der Hund?"},
		details:  []string{"Ein Mischling, vier Jahre, Schulterhöhe etwa 45 cm. Er heißt Bruno.", "Er war bisher nirgends auffällig, sagt das Tierheim."},
		solve:    []string{"für Hunde braucht es eine eigene Haftpflicht, hier in Rheinland-Pfalz zumindest sehr ratsam. Sie kostet 3,90 € im Monat, der Schutz gilt ab heute: {tier}."},
		follow:   []qa{{"Zahlt die auch, wenn er in der Ferienwohnung etwas anknabbert?", "ja, Mietsachschäden sind bis 10.000 € eingeschlossen."}},
		thanks:   []string{"Bruno sagt Danke! 🐾", "Dann machen wir das so. Danke!"},
		note:     []string{"THV ab sofort."}},
	{key: "lob", tag: "Lob", weight: 1,
		subjects: []string{"Danke!", "Ein Lob an Ihr Team"},
		mail:     []string{"ich wollte mich einmal bedanken. Die Sache mit dem Sturmschaden hat von der Meldung bis zur Zahlung neun Tage gedauert, und ich hatte immer jemanden am Telefon. Das ist heute nicht selbstverständlich.", "das Geld vom Versicherer ist heute gekommen. Ohne Ihre Hilfe hätte ich das nie durchbekommen. Herzlichen Dank!"},
		chat:     []string{"Wollte nur Danke sagen, hat alles super geklappt 🙏", "Geld ist da! Ihr seid klasse 😊"},
		solve:    []string{"das freut uns sehr, vielen Dank für die lieben Worte! Ich hänge sie in der Küche auf.", "herzlichen Dank, genau dafür machen wir das."},
		thanks:   []string{"Gern geschehen!", "Bis zum nächsten Mal, hoffentlich nicht so bald 😉"},
		note:     []string{"Kunde für Empfehlung angefragt."}},
}

// What is said whatever the concern.
var (
	greetFormal   = []string{"Sehr geehrte Damen und Herren,", "Guten Tag,"}
	greetFriendly = []string{"Hallo zusammen,", "Liebes Team von Berger & Krause,", "Guten Tag,", "Hallo,"}
	greetNamed    = []string{"Hallo {berater}!", "Guten Tag {berater}!", "{lieb} {berater}!"}
	byeFormal     = []string{"Mit freundlichen Grüßen\n{name}", "Freundliche Grüße\n{name}", "Mit freundlichem Gruß\n{name}"}
	byeFriendly   = []string{"Viele Grüße\n{name}", "Beste Grüße\n{vorname} {nachname}", "Herzliche Grüße aus {ort}\n{name}", "Liebe Grüße\n{vorname} {nachname}"}
	byeBrief      = []string{"Gruß, {nachname}", "VG {vorname} {nachname}", "{name}"}
	chatHello     = []string{"Hallo! ", "Guten Tag! ", "Hi! ", "", "", ""}

	withPicture = []string{"Hier das Foto. Ich hoffe, man erkennt genug.", "Bild anbei.", "So sieht es aus:", "Ich habe gerade eins gemacht, bitte schön.", "Anbei das Foto, von der anderen Seite sieht es ähnlich aus."}
	morePicture = []string{"Hier noch eins aus der Nähe.", "Noch ein Bild, hoffentlich ist das besser.", "Von der Seite sieht es so aus."}
	noPicture   = []string{"Ein Foto habe ich dazu leider nicht.", "Was soll ich denn fotografieren?", "Bilder gibt es dazu keine."}
	noPaper     = []string{"Schriftlich habe ich dazu nichts.", "Welches Papier meinen Sie? Ich habe nichts bekommen.", "Das muss ich erst suchen, ich reiche es nach."}
	withPaper   = []string{"Das Dokument ist angehängt.", "Anbei das PDF.", "Ich habe es eingescannt, siehe Anhang.", "Hier ist es. Reicht Ihnen das so?"}
	withPhone   = []string{"Am besten erreichen Sie mich nach 17 Uhr unter {telefon}.", "Gern, {telefon}, vormittags bin ich meistens da.", "Morgen ab 10 Uhr passt. Meine Nummer: {telefon}"}
	withIBAN    = []string{"Die IBAN ist {iban}.", "{iban}, Kontoinhaber {name}.", "Bitte schön: {iban}"}
	withPlate   = []string{"Das Kennzeichen ist {kennzeichen}.", "{kennzeichen}, ein {auto}."}
	withNumber  = []string{"Die Nummer ist {kfz}, wenn Sie das Auto meinen. Hausrat: {hausrat}.", "Auf meinem Schein steht {kfz}."}
	noMore      = []string{"Mehr weiß ich dazu leider auch nicht. Reicht Ihnen das?", "Da müsste ich erst nachsehen, ich melde mich noch einmal.", "Das kann ich Ihnen aus dem Kopf nicht sagen.", "Ja, das ist so richtig.", "Ja, genau.", "Von mir aus gern so."}
	waits       = []string{"Danke für die Rückmeldung, dann warte ich ab.", "Alles klar, danke.", "Gut, ich höre dann von Ihnen.", "In Ordnung. Eilt auch nicht auf den Tag.", "Okay, danke erst mal!"}
	reminds     = []string{"Gibt es schon etwas Neues?", "Ich wollte nur kurz nachfragen, ob meine Nachricht angekommen ist.", "Haben Sie schon etwas gehört?", "Ich warte noch auf eine Antwort.", "Darf ich noch einmal freundlich erinnern?", "Hat sich schon jemand um meine Sache kümmern können?"}
	remindsSore = []string{"Leider habe ich immer noch nichts gehört. Ist bei Ihnen alles in Ordnung?", "Langsam werde ich ungeduldig, bitte melden Sie sich.", "Das dauert mir jetzt doch etwas lange."}
	doneEmoji   = []string{"👍", "❤", "🙏", "👌"}
	elsewhere   = []string{"Ich schreibe Ihnen jetzt hier, das geht schneller als per E-Mail. ", "Ich war gerade am Handy, deshalb hier weiter: ", "Hier bin ich besser zu erreichen. "}
	small       = []string{"Danke für die Nachricht!", "Vielen Dank für die Information.", "Das ist nett, danke.", "Gut zu wissen, danke!"}

	sorry = []string{"entschuldigen Sie die Wartezeit. ", "danke für Ihre Geduld. ", "bitte verzeihen Sie, dass es gedauert hat. "}
	care  = []string{"danke für Ihre Nachricht. Ich kümmere mich darum und melde mich, sobald ich etwas weiß.", "ich habe es aufgenommen und gebe es gleich weiter. Sie hören von mir.", "ich prüfe das und melde mich bis morgen."}
)
