//! `bootstrap token`.

use jiff::Timestamp;
use roost::adapters::apiserver::reachability::HttpReachability;
use roost::bootstrap::tokens::{create, delete, join_command, list};
use roost::cli::output::print_line;
use roost::cli::token::{TokenArgs, TokenCommand};
use roost::core::bootstrap::token::Token;
use roost::ports::Reachability;

use crate::Failure;

/// Makes, shows and removes tokens.
pub async fn token(args: TokenArgs) -> Result<(), Failure> {
    let objects = HttpReachability.connect(&args.kubeconfig).await?;
    match args.command {
        TokenCommand::Create(wanted) => {
            let token = match wanted.token {
                Some(token) => token,
                None => random_token(),
            };
            let expires = match wanted.ttl {
                std::time::Duration::ZERO => None,
                life => Some(Timestamp::now().checked_add(life)?),
            };
            create(objects.as_ref(), &token, expires, wanted.description.as_deref(), wanted.control_plane).await?;
            if wanted.print_join_command {
                print_line(&join_command(objects.as_ref(), &token, wanted.control_plane).await?);
            } else {
                print_line(&token.reveal());
            }
        }
        TokenCommand::List => {
            for token in list(objects.as_ref()).await? {
                let expires = token.expires.unwrap_or_else(|| "never".to_owned());
                print_line(&format!("{}\t{expires}\t{}", token.id, token.description.unwrap_or_default()));
            }
        }
        TokenCommand::Delete { token } => {
            let id = token.split('.').next().unwrap_or_default();
            delete(objects.as_ref(), id).await?;
        }
    }
    Ok(())
}

fn random_token() -> Token {
    loop {
        let random: [u8; 64] = rand::random();
        // Some bytes are passed over so that every letter is as likely; hardly ever too many.
        if let Some(token) = Token::from_random(&random) {
            return token;
        }
    }
}
