//! `bootstrap token`.

use jiff::Timestamp;
use roost::adapters::apiserver::reachability::HttpReachability;
use roost::bootstrap::tokens::{Error, create, delete, is_there, join_command, list};
use roost::cli::output::{complain, print_result};
use roost::cli::token::{TokenArgs, TokenCommand};
use roost::core::bootstrap::token::Token;
use roost::ports::bootstrap::Reachability;
use serde_json::json;

use crate::failure::Failure;

/// Creates, lists and deletes tokens.
pub async fn token(args: TokenArgs) -> Result<(), Failure> {
    let objects = HttpReachability.connect(&args.kubeconfig).await?;
    match args.command {
        TokenCommand::Create(wanted) => {
            let life = wanted.life();
            let token = match wanted.token {
                Some(token) => token,
                None => random_token(),
            };
            let expires = match life {
                std::time::Duration::ZERO => None,
                life => Some(Timestamp::now().checked_add(life)?),
            };
            if wanted.dry_run {
                let id = token.id();
                if is_there(objects.as_ref(), id).await? {
                    return Err(Error::Exists(id.to_owned()).into());
                }
                let until = expires.map_or_else(|| "forever".to_owned(), |at| format!("until {at}"));
                let whom = if wanted.control_plane { "one control plane" } else { "nodes" };
                let document = json!({ "dryRun": true, "changed": 1, "expires": expires.map(|at| at.to_string()) });
                print_result(args.output, &document, &format!("would create a token for {whom}, valid {until}"));
                return Ok(());
            }
            create(objects.as_ref(), &token, expires, wanted.description.as_deref(), wanted.control_plane).await?;
            let join = match wanted.print_join_command {
                true => Some(join_command(objects.as_ref(), &token, wanted.control_plane).await?),
                false => None,
            };
            let expires = expires.map(|at| at.to_string());
            if wanted.control_plane {
                let until = expires.as_ref().map_or_else(|| "forever".to_owned(), |at| format!("until {at}"));
                complain(&format!(
                    "This token gives the keys of the cluster's CAs to the first control plane that joins with it, and to no other; it is valid {until}."
                ));
            }
            let document = json!({ "token": token.reveal(), "expires": expires, "joinCommand": join });
            print_result(args.output, &document, join.as_deref().unwrap_or(&token.reveal()));
        }
        TokenCommand::List => {
            let tokens = list(objects.as_ref()).await?;
            let items =
                tokens.iter().map(|t| json!({ "id": t.id, "expires": t.expires, "description": t.description }));
            let document = json!({ "tokens": items.collect::<Vec<_>>() });
            let lines = tokens.iter().map(|token| {
                let expires = token.expires.as_deref().unwrap_or("never");
                format!("{}\t{expires}\t{}", token.id, token.description.as_deref().unwrap_or_default())
            });
            print_result(args.output, &document, &lines.collect::<Vec<_>>().join("\n"));
        }
        TokenCommand::Delete { token, dry_run } => {
            let id = token.split('.').next().unwrap_or_default();
            if dry_run {
                if !is_there(objects.as_ref(), id).await? {
                    return Err(Error::Absent(id.to_owned()).into());
                }
                let document = json!({ "dryRun": true, "changed": 1 });
                print_result(args.output, &document, &format!("would delete token {id}"));
                return Ok(());
            }
            delete(objects.as_ref(), id).await?;
            print_result(args.output, &json!({ "deleted": id }), &format!("deleted token {id}"));
        }
    }
    Ok(())
}

fn random_token() -> Token {
    loop {
        let random: [u8; 64] = rand::random();
        // Some bytes are skipped so that every character is equally likely; there are almost always enough left.
        if let Some(token) = Token::from_random(&random) {
            return token;
        }
    }
}
