package whatsapp

import (
	"encoding/json"
)

// notification is the body of a webhook ("Webhooks reference"). M and S are message and status, or their raw JSON where
// something of the body does not fit and the rest has to be saved.
type notification[M, S any] struct {
	Object string `json:"object"`
	Entry  []struct {
		ID      string `json:"id"` // the WhatsApp Business Account
		Changes []struct {
			Field string      `json:"field"`
			Value value[M, S] `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

// value is what the field "messages" carries.
type value[M, S any] struct {
	Metadata struct {
		Display string `json:"display_phone_number"`
		PhoneID string `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []contact  `json:"contacts"`
	Messages []M        `json:"messages"`
	Statuses []S        `json:"statuses"`
	Errors   []apiError `json:"errors"`
}

// contact names a user. wa_id is absent where a user has a username and Meta may not tell the number; user_id is the
// business-scoped user id ("Business-scoped user IDs").
type contact struct {
	Profile struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"profile"`
	WaID         string `json:"wa_id"`
	UserID       string `json:"user_id"`
	ParentUserID string `json:"parent_user_id"`
}

// message is one entry of messages ("Messages webhook reference").
type message struct {
	From             string      `json:"from"`
	FromUserID       string      `json:"from_user_id"`
	FromParentUserID string      `json:"from_parent_user_id"`
	GroupID          string      `json:"group_id"`
	ID               string      `json:"id"`
	Timestamp        json.Number `json:"timestamp"`
	Type             string      `json:"type"`
	Context          *struct {
		ID              string `json:"id"`
		ReferredProduct *struct {
			RetailerID string `json:"product_retailer_id"`
		} `json:"referred_product"`
	} `json:"context"`
	Referral *struct {
		Headline string `json:"headline"`
		Body     string `json:"body"`
		Source   string `json:"source_url"`
	} `json:"referral"`
	Errors []apiError `json:"errors"`
	content
	System *struct {
		Body         string `json:"body"`
		WaID         string `json:"wa_id"`
		NewWaID      string `json:"new_wa_id"` // older than v12.0
		UserID       string `json:"user_id"`
		ParentUserID string `json:"parent_user_id"`
		Type         string `json:"type"`
	} `json:"system"`
	Reaction *struct {
		MessageID string `json:"message_id"`
		Emoji     string `json:"emoji"`
	} `json:"reaction"`
	Button *struct {
		Payload string `json:"payload"`
		Text    string `json:"text"`
	} `json:"button"`
	Interactive *struct {
		Type        string `json:"type"`
		ButtonReply *reply `json:"button_reply"`
		ListReply   *reply `json:"list_reply"`
		FlowReply   *struct {
			Name     string `json:"name"`
			Body     string `json:"body"`
			Response string `json:"response_json"`
		} `json:"nfm_reply"`
	} `json:"interactive"`
	Edit *struct {
		Original string `json:"original_message_id"`
		Message  struct {
			Type string `json:"type"`
			content
		} `json:"message"`
	} `json:"edit"`
	Revoke *struct {
		Original string `json:"original_message_id"`
	} `json:"revoke"`
	Unsupported *struct {
		Type string `json:"type"`
	} `json:"unsupported"`
}

type reply struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// content is what a message says; an edit has it, too.
type content struct {
	Text *struct {
		Body string `json:"body"`
	} `json:"text"`
	Image    *media `json:"image"`
	Video    *media `json:"video"`
	Audio    *media `json:"audio"`
	Voice    *media `json:"voice"` // older than Cloud API
	Document *media `json:"document"`
	Sticker  *media `json:"sticker"`
	Location *struct {
		Latitude  json.Number `json:"latitude"`
		Longitude json.Number `json:"longitude"`
		Name      string      `json:"name"`
		Address   string      `json:"address"`
		URL       string      `json:"url"`
	} `json:"location"`
	Contacts []struct {
		Name struct {
			Formatted string `json:"formatted_name"`
			First     string `json:"first_name"`
			Last      string `json:"last_name"`
		} `json:"name"`
		Org struct {
			Company string `json:"company"`
		} `json:"org"`
		Phones []struct {
			Phone string `json:"phone"`
			WaID  string `json:"wa_id"`
		} `json:"phones"`
		Emails []struct {
			Email string `json:"email"`
		} `json:"emails"`
	} `json:"contacts"`
	Order *struct {
		Text  string `json:"text"`
		Items []struct {
			RetailerID string      `json:"product_retailer_id"`
			Quantity   json.Number `json:"quantity"`
			Price      json.Number `json:"item_price"`
			Currency   string      `json:"currency"`
		} `json:"product_items"`
	} `json:"order"`
}

type media struct {
	ID       string `json:"id"`
	Type     string `json:"mime_type"`
	Caption  string `json:"caption"`
	FileName string `json:"filename"`
	Voice    bool   `json:"voice"`
	Animated bool   `json:"animated"`
}

// status is one entry of statuses ("Status messages webhook reference").
type status struct {
	ID              string      `json:"id"`
	Status          string      `json:"status"`
	Timestamp       json.Number `json:"timestamp"`
	RecipientID     string      `json:"recipient_id"`
	RecipientUserID string      `json:"recipient_user_id"`
	RecipientParent string      `json:"recipient_parent_user_id"`
	RecipientType   string      `json:"recipient_type"`
	Callback        string      `json:"biz_opaque_callback_data"`
	Errors          []apiError  `json:"errors"`
}

// apiError is an error as webhooks and answers tell it ("Error codes").
type apiError struct {
	Code    json.Number `json:"code"`
	Subcode json.Number `json:"error_subcode"`
	Title   string      `json:"title"`
	Message string      `json:"message"`
	Data    struct {
		Details string `json:"details"`
	} `json:"error_data"`
}

// words is what the provider says, shortest first.
func (e apiError) words() string {
	title := e.Title
	if title == "" {
		title = e.Message
	}
	if d := e.Data.Details; d != "" && d != title {
		if title != "" {
			title += ": "
		}
		title += d
	}
	return title
}

// calls is what the field "calls" carries ("Calling API webhooks").
type calls struct {
	Metadata struct {
		PhoneID string `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []contact `json:"contacts"`
	Calls    []struct {
		ID         string      `json:"id"`
		From       string      `json:"from"`
		FromUserID string      `json:"from_user_id"`
		Event      string      `json:"event"`
		Direction  string      `json:"direction"`
		Timestamp  json.Number `json:"timestamp"`
	} `json:"calls"`
}

// userChange is what the fields "user_id_update" and "user_preferences" carry.
type userChange struct {
	Metadata struct {
		PhoneID string `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []contact `json:"contacts"`
	Updates  []struct {
		WaID   string `json:"wa_id"`
		UserID struct {
			Previous string `json:"previous"`
			Current  string `json:"current"`
		} `json:"user_id"`
		Timestamp json.Number `json:"timestamp"`
	} `json:"user_id_update"`
	Preferences []struct {
		WaID      string      `json:"wa_id"`
		UserID    string      `json:"user_id"`
		Category  string      `json:"category"`
		Value     string      `json:"value"`
		Timestamp json.Number `json:"timestamp"`
	} `json:"user_preferences"`
}

// note is what fields about the account carry, as far as words are made of it.
type note struct {
	Event        string `json:"event"`
	Decision     string `json:"decision"`
	Template     string `json:"message_template_name"`
	Language     string `json:"message_template_language"`
	Reason       string `json:"reason"`
	Display      string `json:"display_phone_number"`
	PhoneNumber  string `json:"phone_number"`
	CurrentLimit string `json:"current_limit"`
	Alert        *struct {
		Severity    string `json:"alert_severity"`
		Type        string `json:"alert_type"`
		Description string `json:"alert_description"`
	} `json:"alert_info"`
	Severity    string `json:"alert_severity"`
	Type        string `json:"alert_type"`
	Description string `json:"alert_description"`
}
