//! What somebody sees who presses keys.

use chrono::TimeDelta;
use crossterm::event::KeyCode;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::super::sample;
use super::super::feed::{News, Picture};
use super::*;

fn picture() -> Picture {
    Picture { fleet: sample::fleet(), rooms: sample::rooms(), room: None }
}

fn top() -> Top {
    let mut top = Top::new("http://monitor:9090/".into());
    top.hear(News::Picture(Box::new(picture())));
    top
}

fn screen(top: &mut Top, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(110, height)).unwrap();
    terminal.draw(|frame| draw(frame, top, sample::now())).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn press(top: &mut Top, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\t' => KeyCode::Tab,
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            char => KeyCode::Char(char),
        };
        assert!(top.press(code.into()).is_continue(), "{key:?} ended it");
    }
}

fn chosen(screen: &[String]) -> Option<&str> {
    screen.iter().find_map(|line| line.strip_prefix("> ")?.split_whitespace().next())
}

fn first_words(screen: &[String]) -> Vec<&str> {
    let body = screen.get(3..screen.len() - 2).unwrap();
    body.iter().filter_map(|line| line.trim_start_matches('>').split_whitespace().next()).collect()
}

#[test]
fn nodes_come_first() {
    let seen = screen(&mut top(), 12);
    assert_eq!(seen[0], "headwater  2 nodes  1 room  1 stream  10 viewers  3 pipes");
    assert_eq!(seen[1], " Nodes  Rooms   by name");
    assert_eq!(seen[2].split_whitespace().take(3).collect::<Vec<_>>(), ["NODE", "REGION", "STATE"]);
    assert_eq!(first_words(&seen), ["east-1", "east-3", "west-1"]);
    assert!(seen[4].contains("lost") && seen[3].contains("50%"), "{seen:#?}");
    assert!(seen[11].contains("q quit"));
}

#[test]
fn sorting_moves_rows_and_the_choice_stays_with_its_node() {
    let mut top = top();
    press(&mut top, "jj");
    assert_eq!(chosen(&screen(&mut top, 12)), Some("west-1"));
    press(&mut top, "s");
    let seen = screen(&mut top, 12);
    assert_eq!(first_words(&seen), ["west-1", "east-1", "east-3"]);
    assert_eq!(chosen(&seen), Some("west-1"));
    assert!(seen[1].contains("by viewers"));
    press(&mut top, "s");
    assert_eq!(first_words(&screen(&mut top, 12)), ["east-1", "west-1", "east-3"]);
    press(&mut top, "jjjjjG");
    assert_eq!(chosen(&screen(&mut top, 12)), Some("east-3"));
    press(&mut top, "gk");
    assert_eq!(chosen(&screen(&mut top, 12)), Some("east-1"));
}

#[test]
fn a_filter_is_typed_kept_and_dropped() {
    let mut top = top();
    press(&mut top, "/EASTq\x08");
    let seen = screen(&mut top, 12);
    assert_eq!(first_words(&seen), ["east-1", "east-3"]);
    assert!(seen[1].ends_with("/EAST█"), "{seen:#?}");
    press(&mut top, "\n");
    assert_eq!(top.asked().search, "EAST");
    press(&mut top, "\x1b");
    assert_eq!(first_words(&screen(&mut top, 12)).len(), 3);
}

#[test]
fn a_room_is_opened_scrolled_and_left() {
    let mut top = top();
    press(&mut top, "\t");
    let seen = screen(&mut top, 12);
    assert_eq!(first_words(&seen), ["demo", "lobby", "old"]);
    assert!(seen[3].contains("12m") && seen[3].contains("2.1 Mbit/s"), "{seen:#?}");
    press(&mut top, "\n");
    assert_eq!(top.asked().room, Some("demo".parse().unwrap()));
    assert_eq!(screen(&mut top, 12)[2], "nothing is known of demo yet");
    top.hear(News::Picture(Box::new(Picture { room: Some(sample::room()), ..picture() })));
    let seen = screen(&mut top, 20).join("\n");
    assert!(seen.contains("\n├─ east-1  relay  hop 1  in east  2.1 Mbit/s  1 viewer"), "{seen}");
    press(&mut top, "G");
    let seen = screen(&mut top, 10);
    assert!(seen[7].contains("The pipe from west-1 to east-3 failed."), "{seen:#?}");
    press(&mut top, "\x1b");
    assert_eq!(chosen(&screen(&mut top, 12)), Some("demo"));
}

#[test]
fn an_unreachable_monitor_is_told_and_the_picture_stays() {
    let mut top = Top::new("http://monitor:9090/".into());
    assert!(screen(&mut top, 8)[0].contains("asking http://monitor:9090/"));
    top.hear(News::Trouble("monitor unreachable".into()));
    assert!(screen(&mut top, 8)[6].starts_with("monitor unreachable"));
    top.hear(News::Picture(Box::new(picture())));
    top.hear(News::Trouble("monitor unreachable".into()));
    top.picture.as_mut().unwrap().1 = sample::now() - TimeDelta::seconds(7);
    let seen = screen(&mut top, 12);
    assert!(seen[10].starts_with("monitor unreachable; shown is what was known 7s ago"), "{seen:#?}");
    assert_eq!(first_words(&seen).len(), 3);
    top.hear(News::Picture(Box::new(picture())));
    assert_eq!(screen(&mut top, 12)[10], "");
}

#[test]
fn a_cut_list_says_so() {
    let mut top = top();
    top.picture.as_mut().unwrap().0.rooms.total = 900;
    press(&mut top, "\t");
    let seen = screen(&mut top, 12);
    assert!(seen[9].starts_with("3 of 900 rooms"), "{seen:#?}");
}

#[test]
fn q_and_control_c_end_it_and_a_tiny_terminal_does_not() {
    use crossterm::event::{KeyEvent, KeyModifiers};
    let mut top = top();
    for (width, height) in [(1, 1), (5, 2), (20, 3)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &mut top, sample::now())).unwrap();
    }
    assert!(top.press(KeyCode::Char('q').into()).is_break());
    press(&mut top, "/");
    assert!(top.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)).is_break());
}
