//! Accounts and roles.

use serde_json::{Value, json};

use super::fields::{Fields, shown as shown_value};
use super::problem::{Message, Problem};
use super::request::Method;
use super::resource::{Created, Done, Found, RequestBody, collection, enabled, link, resource};
use super::{Call, ROOT};
use crate::accounts::{Account, Change, PASSWORD, Privilege, Refused, Role};
use crate::secret::Secret;
use crate::service::Identity;

const BASE: &str = "/redfish/v1/AccountService";

/// What is below the account service.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let service = call.service;
    Some(match *rest {
        [] => Found::read(|| Ok(account_service())),
        ["Accounts"] => Found::read(move || {
            let path = format!("{BASE}/Accounts");
            let all = service.accounts().iter().map(|a| format!("{path}/{}", a.id)).collect();
            Ok(collection(&path, "ManagerAccountCollection", "Accounts", all))
        })
        .post(move |given| add(call, given))
        .needs(Privilege::ConfigureUsers),
        ["Accounts", "Members"] => {
            Found::action(move |given| add(call, given)).needs(Privilege::ConfigureUsers)
        }
        ["Accounts", id] => {
            let id: u8 = id.parse().ok().filter(|n: &u8| n.to_string() == id)?;
            let account = service.accounts().get(id)?.clone();
            let own = call.who.is_some_and(|who| who.account == id);
            let others = call.who.is_none_or(|who| !who.role.may(Privilege::ConfigureUsers));
            let (generation, current) = (account.generation, shown(call, &account));
            let mut found = Found::read(move || account_now(call, id))
                .patch(move |given| change(call, id, own && others, given, &current))
                .delete(move || remove(call, id))
                .needs(Privilege::ConfigureUsers);
            if own {
                // Whoever may change nobody else may change their own password.
                found.privilege = Privilege::ConfigureSelf;
                if others {
                    found.delete = None;
                }
            } else {
                found.read = Privilege::ConfigureUsers;
            }
            found.generation = generation;
            found
        }
        ["Roles"] => Found::read(|| {
            let path = format!("{BASE}/Roles");
            let all = Role::ALL.iter().map(|role| format!("{path}/{}", role.as_str())).collect();
            Ok(collection(&path, "RoleCollection", "Roles", all))
        }),
        ["Roles", name] => {
            let role = Role::named(name)?;
            Found::read(move || Ok(shown_role(role)))
        }
        _ => return None,
    })
}

/// Whoever has to change their password may do nothing else.
pub fn only_password(who: &Identity, method: &Method, segments: &[&str]) -> Result<(), Problem> {
    let own = who.account.to_string();
    let session = who.session.as_deref().unwrap_or_default();
    let may = match segments {
        ["AccountService", "Accounts", id] if *id == own => {
            matches!(method, Method::Get | Method::Head | Method::Patch)
        }
        ["SessionService", "Sessions", id] if *id == session => *method == Method::Delete,
        [] => true,
        _ => false,
    };
    if may { Ok(()) } else { Err(Problem::change_password(&format!("{BASE}/Accounts/{own}"))) }
}

fn account_service() -> Value {
    resource(
        BASE,
        "AccountService",
        "Account Service",
        json!({
            "ServiceEnabled": true,
            "Status": enabled(),
            "MinPasswordLength": PASSWORD.start(),
            "MaxPasswordLength": PASSWORD.end(),
            "HTTPBasicAuth": "Enabled",
            "Accounts": link(format!("{BASE}/Accounts")),
            "Roles": link(format!("{BASE}/Roles")),
        }),
    )
}

fn shown_role(role: Role) -> Value {
    let privileges: Vec<&str> = role.privileges().iter().map(|p| p.as_str()).collect();
    resource(
        &format!("{BASE}/Roles/{}", role.as_str()),
        "Role",
        role.as_str(),
        json!({
            "RoleId": role.as_str(),
            "IsPredefined": true,
            "AssignedPrivileges": privileges,
        }),
    )
}

fn shown(call: &Call<'_>, account: &Account) -> Value {
    let mut bmcs = call.service.bmcs();
    let has_ipmi =
        call.service.options.ipmi_port.is_some() || bmcs.any(|bmc| bmc.state().ipmi_port.is_some());
    let types = if has_ipmi { &["Redfish", "IPMI"][..] } else { &["Redfish"] };
    resource(
        &format!("{BASE}/Accounts/{}", account.id),
        "ManagerAccount",
        "User Account",
        json!({
            "UserName": account.name,
            "Password": null,
            "RoleId": account.role.as_str(),
            "Enabled": account.enabled,
            "Locked": false,
            "PasswordChangeRequired": account.must_change,
            "AccountTypes": types,
            "Links": {"Role": link(format!("{BASE}/Roles/{}", account.role.as_str()))},
        }),
    )
}

fn account_now(call: &Call<'_>, id: u8) -> Result<Value, Problem> {
    let accounts = call.service.accounts();
    let account = accounts.get(id);
    account
        .map(|account| shown(call, account))
        .ok_or_else(|| Problem::not_found(&format!("{BASE}/Accounts/{id}")))
}

fn refused(why: Refused, name: &str) -> Problem {
    match why {
        Refused::Full => Problem::full(),
        Refused::Taken => Problem::exists(&shown_value(&Value::from(name))),
        Refused::Name => Message::bad_format("UserName", &shown_value(&Value::from(name))).into(),
        Refused::Password => Message::bad_secret("Password").into(),
        Refused::LastAdministrator => Problem::needed(),
        Refused::Unknown => Problem::not_found(&format!("{ROOT}/AccountService/Accounts")),
    }
}

fn roles() -> [(&'static str, Role); 3] {
    Role::ALL.map(|role| (role.as_str(), role))
}

fn add(call: &Call<'_>, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::new(given);
    let name = fields.required_text("UserName");
    let password = fields.secret("Password");
    if given.get("Password").is_none() {
        fields.wrong(Message::missing("Password"));
    }
    let role = fields.choice("RoleId", &roles());
    if given.get("RoleId").is_none() {
        fields.wrong(Message::missing("RoleId"));
    }
    let enabled = fields.flag("Enabled");
    let must_change = fields.flag("PasswordChangeRequired");
    fields.finish()?;
    let (Some(name), Some(password), Some(role)) = (name, password, role) else {
        return Err(Problem::malformed());
    };
    let mut accounts = call.service.accounts();
    let id = accounts.add(name, Secret::new(password), role).map_err(|why| refused(why, name))?;
    let more = Change { enabled, must_change, ..Change::default() };
    accounts.change(id, more).map_err(|why| refused(why, name))?;
    let body = accounts.get(id).map(|account| shown(call, account)).unwrap_or_default();
    Ok(Done::Created(Created { path: format!("{BASE}/Accounts/{id}"), body, token: None }))
}

fn change(
    call: &Call<'_>,
    id: u8,
    password_only: bool,
    given: &RequestBody,
    current: &Value,
) -> Result<Done, Problem> {
    let mut fields = Fields::of(given, current);
    fields.require_any()?;
    let password = fields.secret("Password").map(Secret::new);
    let mut change = Change { password, ..Change::default() };
    let name = fields.text("UserName");
    change.name = name.map(String::from);
    change.role = fields.choice("RoleId", &roles());
    change.enabled = fields.flag("Enabled");
    change.must_change = fields.flag("PasswordChangeRequired");
    fields.finish()?;
    let more = change.name.is_some()
        || change.role.is_some()
        || change.enabled.is_some()
        || change.must_change.is_some();
    if password_only && more {
        return Err(Problem::forbidden());
    }
    let by = call.who.and_then(|who| who.session.as_deref());
    let changed = call.service.change_account(id, change, by);
    changed.map_err(|why| refused(why, name.unwrap_or_default()))?;
    Ok(Done::Changed)
}

fn remove(call: &Call<'_>, id: u8) -> Result<Done, Problem> {
    call.service.accounts().remove(id).map_err(|why| refused(why, ""))?;
    Ok(Done::Nothing)
}
