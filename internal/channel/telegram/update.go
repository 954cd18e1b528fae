package telegram

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// This file has the Bot API's objects, as far as we read them.

// id is an identifier kept as the digits that came: never a float, so that none of its bits is lost.
type id string

var errID = errors.New("identifier is not a whole number")

func (i *id) UnmarshalJSON(b []byte) error {
	digits := b
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(digits) > 1 {
		return errID
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return errID
		}
	}
	*i = id(b)
	return nil
}

// unix is a time in seconds. Zero (of an InaccessibleMessage) and what cannot be mean unknown.
type unix int64

func (u unix) time() time.Time {
	// Before 1990 there was nobody to write; after 9999-12-31 there is no RFC 3339 (and no time.Time as JSON).
	if u < 631_152_000 || u > 253402300799 {
		return time.Time{}
	}
	return time.Unix(int64(u), 0).UTC()
}

// update is an Update, its payload not yet read: one bad payload must not take the others with it.
type update struct {
	ID      id
	Type    string // the name of the one optional field that is present
	Payload json.RawMessage
}

func readUpdate(raw []byte) (update, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return update{}, err
	}
	var u update
	if err := json.Unmarshal(fields["update_id"], &u.ID); err != nil {
		return update{}, errors.New("no update_id")
	}
	for name, payload := range fields {
		if name != "update_id" && (u.Type == "" || name < u.Type) { // "at most one"; the first by name, to be pure
			u.Type, u.Payload = name, payload
		}
	}
	return u, nil
}

type user struct {
	ID        id     `json:"id"`
	IsBot     bool   `json:"is_bot"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
	Language  string `json:"language_code"`
}

type chat struct {
	ID    id     `json:"id"`
	Type  string `json:"type"`
	Title string `json:"title"`
}

type message struct {
	ID       id     `json:"message_id"`
	From     *user  `json:"from"`
	Chat     chat   `json:"chat"`
	Date     unix   `json:"date"`
	EditDate unix   `json:"edit_date"`
	ReplyTo  *reply `json:"reply_to_message"`

	Text            string   `json:"text"`
	Entities        []entity `json:"entities"`
	Caption         string   `json:"caption"`
	CaptionEntities []entity `json:"caption_entities"`

	Photo     []file   `json:"photo"`
	Document  *file    `json:"document"`
	Voice     *file    `json:"voice"`
	Audio     *file    `json:"audio"`
	Video     *file    `json:"video"`
	VideoNote *file    `json:"video_note"`
	Animation *file    `json:"animation"`
	Sticker   *file    `json:"sticker"`
	Location  *place   `json:"location"`
	Venue     *venue   `json:"venue"`
	Contact   *contact `json:"contact"`
	Poll      *poll    `json:"poll"`
	Dice      *dice    `json:"dice"`
	Markup    *markup  `json:"reply_markup"`
}

type reply struct {
	ID   id   `json:"message_id"`
	Chat chat `json:"chat"`
}

// entity is a MessageEntity; only hidden link targets are of interest.
type entity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"` // in UTF-16 units
	Length int    `json:"length"`
	URL    string `json:"url"`
}

// file is any of PhotoSize, Document, Voice, Audio, Video, VideoNote, Animation, Sticker.
type file struct {
	ID       string `json:"file_id"`
	Name     string `json:"file_name"`
	Type     string `json:"mime_type"`
	Size     int64  `json:"file_size"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Title    string `json:"title"`
	Emoji    string `json:"emoji"`
	Animated bool   `json:"is_animated"`
	Video    bool   `json:"is_video"`
}

type place struct {
	Latitude  json.Number `json:"latitude"`
	Longitude json.Number `json:"longitude"`
}

type venue struct {
	Location place  `json:"location"`
	Title    string `json:"title"`
	Address  string `json:"address"`
}

type contact struct {
	Phone     string `json:"phone_number"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
}

type poll struct {
	Question string `json:"question"`
	Options  []struct {
		Text string `json:"text"`
	} `json:"options"`
}

type dice struct {
	Emoji string `json:"emoji"`
	Value int    `json:"value"`
}

type markup struct {
	Keyboard [][]button `json:"inline_keyboard"`
}

type button struct {
	Text string `json:"text"`
	Data string `json:"callback_data,omitempty"`
}

type callbackQuery struct {
	ID      string   `json:"id"`
	From    user     `json:"from"`
	Message *message `json:"message"` // may be an InaccessibleMessage: chat, message_id and date 0
	Data    string   `json:"data"`
}

type reactionUpdate struct {
	Chat chat       `json:"chat"`
	ID   id         `json:"message_id"`
	User *user      `json:"user"`
	Date unix       `json:"date"`
	New  []reaction `json:"new_reaction"`
}

type reaction struct {
	Type  string `json:"type"` // emoji, custom_emoji, paid
	Emoji string `json:"emoji"`
}

type memberUpdate struct {
	Chat chat   `json:"chat"`
	From user   `json:"from"`
	Date unix   `json:"date"`
	Old  member `json:"old_chat_member"`
	New  member `json:"new_chat_member"`
}

type member struct {
	Status string `json:"status"`
}

func (n unix) String() string { return strconv.FormatInt(int64(n), 10) }
